"""From examples to what the model reads: classification, multiple choice and plain texts.

Truncation: one text is cut at its end; of a pair, the longer text is cut at its end until both fit ("longest first").
How many examples were cut is counted. A tagged sentence and a context are never cut:
they are read in windows (`tagging`, `span`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from xstilts_trainer.data.examples import ChoiceExample, PairExample
from xstilts_trainer.data.pieces import ModelInput, PieceIds, PieceTokenizer


@dataclass(frozen=True, slots=True)
class Feature:
    """One item of a batch.

    Attributes:
        example: the index of the example that it comes from.
        inputs: one sequence; in multiple choice one a choice.
        labels: by the name in the batch: a number, or a number a piece [T].
    """

    example: int
    inputs: tuple[ModelInput, ...]
    labels: Mapping[str, int | PieceIds]

    def __len__(self) -> int:
        return max(map(len, self.inputs))


F_co = TypeVar("F_co", bound=Feature, covariant=True)


@dataclass(frozen=True, slots=True)
class Encoded(Generic[F_co]):
    """The features of a file's examples, in the examples' order; `cut` examples lost a part of their text."""

    features: Sequence[F_co]
    cut: int = 0

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each feature in pieces."""
        return np.array([len(feature) for feature in self.features], dtype=np.int64)


def encode_pairs(
    pieces: PieceTokenizer, examples: Sequence[PairExample], max_length: int
) -> Encoded[Feature]:
    """Classification: one sequence of at most `max_length` pieces an example, `labels` its class."""
    firsts = pieces.ids([example.text for example in examples])
    seconds = pieces.ids([example.text_pair for example in examples if example.text_pair is not None])
    features, cut = [], 0
    for index, (example, first) in enumerate(zip(examples, firsts, strict=True)):
        second = None if example.text_pair is None else next(seconds)
        filled, was_cut = fitted(pieces, first, second, max_length)
        features.append(Feature(index, (filled,), {"labels": example.label}))
        cut += was_cut
    return Encoded(features, cut)


def encode_choices(
    pieces: PieceTokenizer, examples: Sequence[ChoiceExample], max_length: int
) -> Encoded[Feature]:
    """Multiple choice: a sequence a choice, `labels` the right one."""
    firsts = pieces.ids([first for example in examples for first, _ in example.pairs])
    seconds = pieces.ids([second for example in examples for _, second in example.pairs])
    features, cut = [], 0
    for index, example in enumerate(examples):
        fits = [fitted(pieces, next(firsts), next(seconds), max_length) for _ in example.pairs]
        features.append(Feature(index, tuple(filled for filled, _ in fits), {"labels": example.label}))
        cut += any(was_cut for _, was_cut in fits)
    return Encoded(features, cut)


def encode_texts(pieces: PieceTokenizer, texts: Sequence[str], max_length: int) -> Encoded[Feature]:
    """Unlabelled text (continued pretraining): one sequence each, no labels."""
    fits = [fitted(pieces, ids, None, max_length) for ids in pieces.ids(texts)]
    features = [Feature(index, (filled,), {}) for index, (filled, _) in enumerate(fits)]
    return Encoded(features, sum(was_cut for _, was_cut in fits))


def fitted(
    pieces: PieceTokenizer, first: PieceIds, second: PieceIds | None, max_length: int
) -> tuple[ModelInput, bool]:
    """A text or a pair in its template, cut to `max_length` pieces; and whether anything was cut."""
    if second is None:
        room = max_length - pieces.single.special_pieces
        return pieces.single.fill(first[:room]), len(first) > room
    kept_first, kept_second = longest_first(len(first), len(second), max_length - pieces.pair.special_pieces)
    was_cut = (kept_first, kept_second) != (len(first), len(second))
    return pieces.pair.fill(first[:kept_first], second[:kept_second]), was_cut


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many pieces of each text of a pair are kept (the tokenizers library's "longest first").

    The shorter one is kept whole where it leaves the longer one more than itself; else both get half, and an odd piece goes to
    the longer one (to the second of equals).
    """
    if first + second <= room:
        return first, second
    shorter = min(first, second, room // 2)
    return (room - shorter, shorter) if first > second else (shorter, room - shorter)
