"""Continued pretraining: batches of corrupted text in several languages, among the batches of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from heapq import nlargest
from math import ceil
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import PreTrainedModel

from xstilts.errors import DataError, Problem
from xstilts.stage import ContinuedPretraining, Mixing
from xstilts_trainer.data.batches import Batch, collate
from xstilts_trainer.data.features import Encoded, Feature, encode_texts
from xstilts_trainer.data.load import load_texts
from xstilts_trainer.data.mixing import Mixture
from xstilts_trainer.data.order import permutation
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.masked_lm import MaskedLM
from xstilts_trainer.models.packing import is_packed
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.training.feed import Feed, StepBatch

OBJECTIVE = (
    "pretraining objective"  # stands where a task's name does: no task can be called so, names hold no spaces
)


class Corrupt(Protocol):
    """What of a text is to be predicted: masks, or spans."""

    def __call__(self, batch: Batch, *key: int | str) -> Batch:
        """The corrupted batch and its labels; a pure function of the key."""


class TasksAndText(TaskModel):
    """A model with its task heads, and the masked language model on the same encoder."""

    def __init__(self, tasks: EncoderModel, text: MaskedLM) -> None:
        super().__init__()
        self.tasks = tasks
        self.text = text

    @property
    def packable(self) -> PreTrainedModel | None:
        """The encoder that both share, where it can be packed."""
        return self.tasks.packable

    @property
    def packed_tasks(self) -> list[str]:
        """Those of the heads, and the text of a packed encoder."""
        return [*self.tasks.packed_tasks, *([OBJECTIVE] if is_packed(self.packable) else [])]

    def loss(self, task: str, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch of a task, or of masked text."""
        return self.text.loss(batch) if task == OBJECTIVE else self.tasks.loss(task, batch)


def load_text(
    spec: ContinuedPretraining, folders: Mapping[str, Path], pieces: PieceTokenizer, max_length: int
) -> dict[str, Encoded[Feature]]:
    """The corpora by language, at most `sentences_cap` rows of each; a row is cut to `max_length` pieces.

    Raises:
        DataError: a file is missing or wrong; the role's name stands before the file's.
    """
    corpora = {}
    for corpus in spec.corpora:
        try:
            texts = load_texts(folders[corpus.role], corpus.split, corpus.language, spec.sentences_cap)
        except DataError as error:
            raise DataError(
                *(Problem(f"{corpus.role}/{problem.field}", problem.message) for problem in error.problems)
            ) from None
        corpora[corpus.language] = encode_texts(pieces, texts, max_length)
    return corpora


def text_steps(task_steps: int, ratio: Decimal) -> int:
    """How many batches of text make up the part `ratio` of an epoch that holds so many batches of tasks."""
    return ceil(task_steps / (1 - ratio)) - task_steps


class TextFeed:
    """Batches of corrupted text, each of one language; a pure function of seed and number."""

    def __init__(
        self,
        spec: ContinuedPretraining,
        corpora: Mapping[str, Encoded[Feature]],
        pieces: PieceTokenizer,
        corrupt: Corrupt,
        *,
        batch_size: int,
        batches: int,
        seed: int,
        prepare: Callable[[Batch], Batch],
    ) -> None:
        """Draw the language of each of `batches`: by the corpora's sizes to the power 1 / temperature."""
        lengths = {language: corpus.lengths for language, corpus in corpora.items()}
        mixing = Mixing(strategy="Temperature", examples_cap=spec.sentences_cap, temperature=spec.temperature)
        batches_of_all = sum(ceil(len(of_language) / batch_size) for of_language in lengths.values())
        self._mixture = Mixture(lengths, batch_size, ceil(batches / batches_of_all), seed, mixing)
        self._corpora = corpora
        self._batch_size = batch_size
        self._pieces = pieces
        self._corrupt = corrupt
        self._seed = seed
        self._prepare = prepare

    def batch(self, number: int) -> StepBatch:
        """A batch, counted from 0."""
        language, indices = self._mixture.batch(number)
        features = [self._corpora[language].features[index] for index in indices]
        return self._of(language, features, "masked", number)

    def longest(self) -> Iterator[StepBatch]:
        """Of each language a batch of its longest texts, the longest first."""
        for language, corpus in self._corpora.items():
            yield self._of(language, nlargest(self._batch_size, corpus.features, key=len), "longest")

    def _of(self, language: str, features: Sequence[Feature], *key: int | str) -> StepBatch:
        corrupted = self._corrupt(collate(features, self._pieces), self._seed, *key)
        return StepBatch(OBJECTIVE, self._prepare(corrupted), (f"text in {language}",), corrupted)


class InterleavedFeed:
    """The tasks' batches and, among them, so many batches of text an epoch.

    Which steps are text is drawn anew each epoch, and each epoch holds all batches of the tasks.
    """

    def __init__(self, tasks: Feed, text: TextFeed, text_steps_per_epoch: int, seed: int) -> None:
        self._tasks = tasks
        self._text = text
        self._text_steps = text_steps_per_epoch
        self._seed = seed
        self._layout = lru_cache(maxsize=2)(self._layout_of)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return self._tasks.steps_per_epoch + self._text_steps

    def batch(self, step: int) -> StepBatch:
        """The batch of a step (0-based)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        is_text = self._layout(epoch)
        before = int(is_text[:place].sum())
        if is_text[place]:
            return self._text.batch(epoch * self._text_steps + before)
        return self._tasks.batch(epoch * self._tasks.steps_per_epoch + place - before)

    def longest(self) -> Iterator[StepBatch]:
        """The longest batches of the tasks and of the text."""
        yield from self._tasks.longest()
        yield from self._text.longest()

    def _layout_of(self, epoch: int) -> npt.NDArray[np.bool_]:
        """Which steps of an epoch are text."""
        return permutation(self.steps_per_epoch, self._seed, "text", epoch) < self._text_steps
