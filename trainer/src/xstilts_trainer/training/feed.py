"""The batch of each step: a pure function of data, seed and step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from xstilts.stage import TrainSpec
from xstilts_trainer.data.batches import Batch, collate, padding_share
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.mixing import Mixture
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.training.task_data import TrainingSet


@dataclass(frozen=True)
class StepBatch:
    """What one step trains on.

    Attributes:
        task: whose loss it is.
        batch: as the model takes it, token ids renumbered, but on the CPU.
        rows: where its examples stand, for error messages.
        collated: the batch before that last change.
    """

    task: str
    batch: Batch
    rows: tuple[str, ...]
    collated: Batch


class Feed:
    """The training batches of a stage's tasks."""

    def __init__(
        self,
        spec: TrainSpec,
        sets: Mapping[str, TrainingSet],
        pieces: PieceTokenizer,
        prepare: Callable[[Batch], Batch],
    ) -> None:
        """Make the feed.

        Args:
            spec: batch size, epochs, seed and mixing.
            sets: the tasks.
            pieces: pads the batches.
            prepare: the last change to a batch: token ids renumbered.
        """
        recipe = spec.hyperparameters
        self._sets = sets
        self._batch_size = recipe.batch_size
        self._pieces = pieces
        self._prepare = prepare
        lengths = {name: of_task.encoded.lengths for name, of_task in sets.items()}
        self._mixture = Mixture(lengths, recipe.batch_size, recipe.epochs, spec.seed, spec.mixing)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return self._mixture.steps_per_epoch

    def batch(self, step: int) -> StepBatch:
        """The batch of a step (0-based)."""
        name, indices = self._mixture.batch(step)
        features = self._sets[name].encoded.features
        return self._of(name, [features[index] for index in indices])

    def longest(self) -> Iterator[StepBatch]:
        """Of each task a batch of its longest features, the longest first: no other needs more memory."""
        for name, training_set in self._sets.items():
            yield self._of(name, nlargest(self._batch_size, training_set.encoded.features, key=len))

    def _of(self, name: str, features: Sequence[Feature]) -> StepBatch:
        origins = self._sets[name].origins
        rows = tuple(origins[feature.example] for feature in features)
        collated = collate(features, self._pieces)
        return StepBatch(name, self._prepare(collated), rows, collated)

    def padding_share(self, packed: Collection[str]) -> float:
        """The share of the first epoch's places that holds padding, between 0 and 1; the tasks that are packed have none."""
        batches = []
        for name, indices in map(self._mixture.batch, range(self.steps_per_epoch)):
            features = [self._sets[name].encoded.features[index] for index in indices]
            lengths = np.array([len(sequence) for feature in features for sequence in feature.inputs])
            batches += list(lengths.reshape(-1, 1)) if name in packed else [lengths]
        return padding_share(batches)
