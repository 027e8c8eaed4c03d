"""A model over features: what it says of each, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xstilts.task import TaskType
from xstilts_trainer.data.batches import Batch, collate, evaluation_batches, in_order
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.models.encoder_model import EncoderModel

Output = npt.NDArray[Any]


@dataclass(frozen=True)
class Forward:
    """How features are run through a model.

    Attributes:
        model: in evaluation mode.
        pieces: pads the batches.
        batch_size: features a batch.
        prepare: the last change to a batch: token ids renumbered, tensors moved to the device.
        on_batch: called after each batch with the number of its features.
    """

    model: EncoderModel
    pieces: PieceTokenizer
    batch_size: int
    prepare: Callable[[Batch], Batch]
    on_batch: Callable[[int], None]

    @torch.inference_mode()
    def run(self, head: str, type_: TaskType, features: Sequence[Feature]) -> list[Output]:
        """What the head says of each feature, in the features' order; like lengths are run together.

        Returns:
            One array a feature: logits [L] (classification), [C] (multiple choice) or [T, 2] (span QA: start, end),
            and for tagging the number of the best tag [T].
        """
        lengths = np.array([len(feature) for feature in features], dtype=np.int64)
        batches = evaluation_batches(lengths, self.batch_size)
        outputs = []
        for indices in batches:
            batch = self.prepare(collate([features[index] for index in indices], self.pieces))
            logits = self.model.logits(head, batch)
            said = logits.argmax(-1) if type_ is TaskType.TAGGING else logits
            outputs.append(list(said.cpu().numpy()))
            self.on_batch(len(indices))
        return in_order(batches, outputs)
