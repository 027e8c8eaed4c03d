"""Tagging: sentences to windows of pieces with the tag on each word's first piece, and predictions back to words.

A sentence longer than the model is read in windows of whole words, without overlap, as XTREME's preprocessing splits
it: every word gets one prediction, none is dropped. Of a word that is longer than a window the first pieces are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xstilts_trainer.data.examples import UNLABELLED, TagExample
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.pieces import PieceIds, PieceTokenizer


@dataclass(frozen=True, slots=True)
class TagFeature(Feature):
    """A window of a sentence. `heads` [W] are the places of its words' first pieces; the words of windows follow on."""

    heads: PieceIds


def encode_tags(
    pieces: PieceTokenizer, examples: Sequence[TagExample], max_length: int
) -> Encoded[TagFeature]:
    """One window of at most `max_length` pieces a sentence, or more. `labels` [T] holds a word's tag at its first piece.

    Elsewhere labels are UNLABELLED, which the loss leaves out. Cut are the sentences with a word longer than a window.
    """
    room = max_length - pieces.single.special_pieces
    offset = len(pieces.single.before)
    features, cut = [], 0
    sentences = pieces.words([example.tokens for example in examples])
    for index, (example, words) in enumerate(zip(examples, sentences, strict=True)):
        cut += any(len(word) > room for word in words)
        kept = [word[:room] for word in words]
        for start, end in word_windows([len(word) for word in kept], room):
            lengths = [len(word) for word in kept[start:end]]
            heads = np.cumsum([offset, *lengths[:-1]], dtype=np.int32)
            filled = pieces.single.fill(np.concatenate(kept[start:end]).astype(np.int32))
            labels = np.full(len(filled), UNLABELLED, dtype=np.int32)
            labels[heads] = example.tags[start:end]
            features.append(TagFeature(index, (filled,), {"labels": labels}, heads))
    return Encoded(features, cut)


def word_tags(
    features: Sequence[TagFeature], predicted: Sequence[npt.NDArray[np.int64]], examples: int
) -> list[list[int]]:
    """The tag of every word of every sentence.

    Args:
        features: the windows, in order.
        predicted: the tag numbers [T or more] of each window's pieces.
        examples: how many sentences there are.
    """
    tags: list[list[int]] = [[] for _ in range(examples)]
    for feature, of_pieces in zip(features, predicted, strict=True):
        tags[feature.example] += of_pieces[feature.heads].tolist()
    return tags


def word_windows(
    lengths: Sequence[int], room: int, most_words: int | None = None
) -> Iterator[tuple[int, int]]:
    """The words [start, end) of each window: as many as fit into `room` pieces, and at most so many."""
    start = used = 0
    for word, length in enumerate(lengths):
        if used + length > room or word - start == most_words:
            yield start, word
            start, used = word, 0
        used += length
    yield start, len(lengths)
