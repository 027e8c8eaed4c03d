"""What prediction needs of a trained model, whatever its form, and how features are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch

from xstilts.stage import Hyperparameters
from xstilts.task import TaskType
from xstilts_trainer.data.batches import evaluation_batches, in_order
from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.span import SpanPrediction
from xstilts_trainer.memory import enough_memory
from xstilts_trainer.precision import computed_in, precision_of

Output: TypeAlias = Any
"""What is said of one feature: an array of scores [L] (classification) or [C] (multiple choice); the numbers of tags, a
place or a word each (tagging); in span QA what `answers` reads."""


class Inference(Protocol):
    """A trained model that says something of features."""

    def labels(self, head: str) -> tuple[str, ...]:
        """The labels of a task that the model was trained on, in the order of the scores."""

    def run(self, head: str, type_: TaskType, features: Sequence[Feature]) -> list[Output]:
        """What is said of each feature, in the features' order."""

    def answers(
        self, questions: Sequence[SpanExample], features: Sequence[Feature], outputs: Sequence[Output]
    ) -> dict[str, SpanPrediction]:
        """The best answer of each question over its windows, by its id."""


@torch.inference_mode()
def ask_in_batches(
    ask: Callable[[Sequence[Feature]], Sequence[Output]],
    features: Sequence[Feature],
    recipe: Hyperparameters,
    head: str,
    on_batch: Callable[[int], None],
) -> list[Output]:
    """What `ask` says of each feature, in the features' order; like lengths are asked together.

    Args:
        ask: one output a feature, for a batch of them.
        features: any number.
        recipe: the batch size and the precision.
        head: whose task it is, for the error where a batch does not fit into the device's memory.
        on_batch: called after each batch with the number of its features.
    """
    lengths = np.array([len(feature) for feature in features], dtype=np.int64)
    batches = evaluation_batches(lengths, recipe.batch_size)
    precision = precision_of(recipe)
    outputs = []
    for indices in batches:
        with enough_memory(f"task {head}", len(indices)), computed_in(precision):
            outputs.append(ask([features[index] for index in indices]))
        on_batch(len(indices))
    return in_order(batches, outputs)
