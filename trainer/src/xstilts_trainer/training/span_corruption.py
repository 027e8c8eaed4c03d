"""Span corruption, T5's pretraining objective: spans of a text are cut out, and the model says what stood there.

As t5.data.preprocessors (google-research/text-to-text-transfer-transformer): random_spans_noise_mask,
noise_span_to_unique_sentinel and nonnoise_span_to_unique_sentinel; Raffel et al. (2020), arXiv:1910.10683, section 3.1.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.order import permutation
from xstilts_trainer.data.text_pieces import TextPieces

MEAN_SPAN = 3  # pieces

Mask = npt.NDArray[np.bool_]


class SpanCorruption:
    """In the input a sentinel stands for each span; the answer is each sentinel and what it stands for."""

    def __init__(self, share: float, pieces: TextPieces) -> None:
        """Set the rule: `share` of a text's pieces are cut out, in spans of three on average."""
        self._share = share
        self._pieces = pieces

    def spans(self, length: int) -> int:
        """How many spans are cut out of a text of so many pieces; each needs a sentinel."""
        return _spans(length, self._share)[1]

    def __call__(self, batch: Batch, *key: int | str) -> Batch:
        """The corrupted batch, padded anew, and the answers as `labels`; a pure function of the key.

        Args:
            batch: `input_ids` and `attention_mask` [B, T] of texts and the piece that ends each.
            key: what the draws hang on.
        """
        rows = [
            self._corrupted(ids[mask == 1][:-1], (*key, row))
            for row, (ids, mask) in enumerate(
                zip(batch["input_ids"].numpy(), batch["attention_mask"].numpy(), strict=True)
            )
        ]
        inputs, answers = zip(*rows, strict=True)
        return {
            "input_ids": _padded(inputs, self._pieces.pad_id),
            "attention_mask": _padded([np.ones_like(ids) for ids in inputs], 0),
            "labels": _padded(answers, UNLABELLED),
        }

    def _corrupted(
        self, ids: npt.NDArray[np.int64], key: Sequence[int | str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        cut = noise_mask(len(ids), self._share, *key)
        return self._with_sentinels(ids, cut), self._with_sentinels(ids, ~cut)

    def _with_sentinels(self, ids: npt.NDArray[np.int64], cut: Mask) -> npt.NDArray[np.int64]:
        """The pieces with one sentinel for each run of those that are cut out."""
        first = cut.copy()
        first[1:] &= ~cut[:-1]
        sentinels = np.asarray(self._pieces.sentinels)[np.cumsum(first) - 1]
        kept = np.where(first, sentinels, ids)[~cut | first]
        return self._pieces.ended(kept).astype(np.int64)


def noise_mask(length: int, share: float, *key: int | str) -> Mask:
    """Which pieces of a text are cut out: spans that alternate with what is kept, which comes first. All are equally likely."""
    cut, spans = _spans(length, share)
    lengths = np.stack(
        [_segments(length - cut, spans, *key, "kept"), _segments(cut, spans, *key, "cut")], axis=1
    )
    return np.repeat(np.tile([False, True], spans), lengths.ravel())


def _spans(length: int, share: float) -> tuple[int, int]:
    """How many pieces are cut out of a text, and in how many spans; none of a text of fewer than two pieces."""
    cut = min(max(round(length * share), 1), length - 1)
    if cut < 1:
        return 0, 1
    return cut, min(max(round(cut / MEAN_SPAN), 1), length - cut)


def _segments(length: int, count: int, *key: int | str) -> npt.NDArray[np.int64]:
    """The lengths of so many segments of so many pieces; each has at least one piece, where there are any."""
    if not length:
        return np.zeros(count, dtype=np.int64)
    begins = np.sort(permutation(length - 1, *key)[: count - 1]) + 1
    return np.diff([0, *begins.tolist(), length])


def _padded(rows: Sequence[npt.NDArray[np.int64]], filler: int) -> torch.Tensor:
    padded = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = values
    return torch.from_numpy(padded)
