"""Features to tensors, and which features make which batch: pure functions of lengths, seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.order import permutation
from xstilts_trainer.data.pieces import PieceTokenizer

Batch: TypeAlias = dict[str, torch.Tensor]
"""`input_ids`, `attention_mask` and, where the tokenizer gives them, `token_type_ids`: int64 [B, T], in multiple choice
[B, C, T]. `labels` int64 [B], in tagging [B, T] with UNLABELLED beside the words; in span QA `start_positions` and
`end_positions` [B]; of text to text, the pieces of the answers [B, A], UNLABELLED behind them. Unlabelled text has
none. A batch on a GPU has beside them what `data.places` says of it."""

Indices: TypeAlias = npt.NDArray[np.int64]
POOL_BATCHES = 50

T = TypeVar("T")


def collate(features: Sequence[Feature], pieces: PieceTokenizer) -> Batch:
    """Pad the features to the longest of them, on the right. All come from one task."""
    choices = len(features[0].inputs)
    length = max(map(len, features))
    shape = (len(features), choices, length)
    ids = np.full(shape, pieces.pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    type_ids = np.full(shape, pieces.pad_type_id, dtype=np.int64)
    for row, feature in enumerate(features):
        for column, sequence in enumerate(feature.inputs):
            ids[row, column, : len(sequence)] = sequence.ids
            mask[row, column, : len(sequence)] = 1
            if sequence.type_ids is not None:
                type_ids[row, column, : len(sequence)] = sequence.type_ids
    arrays = {"input_ids": ids, "attention_mask": mask}
    if features[0].inputs[0].type_ids is not None:
        arrays["token_type_ids"] = type_ids
    if choices == 1:
        arrays = {name: array[:, 0] for name, array in arrays.items()}
    for name in features[0].labels:
        arrays[name] = _stacked([feature.labels[name] for feature in features])
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def training_batches(lengths: Indices, batch_size: int, *key: int | str) -> list[Indices]:
    """The batches of one epoch: every feature once, in an order that the key (seed, task, epoch) decides.

    The features are shuffled, cut into pools of 50 batches, sorted by length inside each pool, cut into batches, and
    the batches shuffled: features of like length meet, and which ones is chance. One batch may be smaller.
    """
    order = permutation(len(lengths), *key, "features")
    batches: list[Indices] = []
    pool = POOL_BATCHES * batch_size
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        members = members[np.argsort(lengths[members], kind="stable")]
        batches += [members[first : first + batch_size] for first in range(0, len(members), batch_size)]
    return [batches[place] for place in permutation(len(batches), *key, "batches")]


def evaluation_batches(lengths: Indices, batch_size: int) -> list[Indices]:
    """Every feature once, the longest first (so that a lack of memory shows at once). `in_order` undoes the sorting."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def in_order(batches: Sequence[Indices], outputs: Sequence[Sequence[T]]) -> list[T]:
    """The outputs of the features, a sequence a batch, in the order of the features."""
    by_feature = {
        int(index): output
        for batch, of_batch in zip(batches, outputs, strict=True)
        for index, output in zip(batch, of_batch, strict=True)
    }
    return [by_feature[index] for index in range(len(by_feature))]


def padding_share(batches: Sequence[Indices]) -> float:
    """The share of the places that holds padding, between 0 and 1; each batch is given by its sequences' lengths."""
    places = sum(len(lengths) * int(lengths.max()) for lengths in batches)
    return 1 - sum(int(lengths.sum()) for lengths in batches) / places


def _stacked(values: Sequence[int | npt.NDArray[np.int32]]) -> Indices:
    of_pieces = [value for value in values if isinstance(value, np.ndarray)]
    if not of_pieces:
        return np.array(values, dtype=np.int64)
    padded = np.full((len(values), max(map(len, of_pieces))), UNLABELLED, dtype=np.int64)
    for row, value in enumerate(of_pieces):
        padded[row, : len(value)] = value
    return padded
