"""What prediction needs of a trained model, whatever its form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from xstilts.task import TaskType
from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.span import SpanPrediction

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
