"""Nearest neighbours by dot product: found in fp32, as fast as the matrix product, and exact as float64 has them.

What a neighbour is says `exact.nearest_in_float64`: products in float64, rounded to 9 decimals, of equals the lower index first.
Scores in fp32 choose which products are taken: each is within a proven bound of its product (`_error`), so that `Shortlist`
keeps every candidate that may be a neighbour. Both directions come from one pass over the scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from xstilts_trainer.models.linear import linear
from xstilts_trainer.retrieval.exact import DECIMALS, Neighbours, nearest_in_float64, together
from xstilts_trainer.retrieval.shortlist import Shortlist

BLOCK = 2048  # queries and candidates at a time: 16 MiB of fp32 scores
LONGEST = 2.0  # of a vector: fp32 then neither overflows nor loses to underflow what a decimal could show

__all__ = ["Neighbours", "nearest", "nearest_both"]


@torch.no_grad()
def nearest(queries: Tensor, candidates: Tensor, k: int) -> Neighbours:
    """The min(k, C) candidates with the largest dot product, for each query; among equals the lower index first.

    Args:
        queries: [Q, H]; of length 1, as the candidates, if the product is to be the cosine.
        candidates: [C, H].
        k: how many neighbours, at least 1.
    """
    slack = _slack(queries, candidates)
    if slack is None:
        return nearest_in_float64(queries, candidates, k)
    return _scan(queries, candidates, k, slack, None)


@torch.no_grad()
def nearest_both(sources: Tensor, targets: Tensor, k: int) -> tuple[Neighbours, Neighbours]:
    """`nearest(sources, targets, k)` and `nearest(targets, sources, k)`, for the price of one.

    Beside the vectors, memory holds one block of scores and, of each vector, some bytes for each of its k neighbours and for
    what is too close to call: docs/benchmarks/retrieval.md has what that comes to.
    """
    slack = _slack(sources, targets)
    if slack is None:
        return nearest_in_float64(sources, targets, k), nearest_in_float64(targets, sources, k)
    back = Shortlist(len(targets), len(sources), k, slack, sources.device)
    return _scan(sources, targets, k, slack, back), back.resolve(targets, sources)


def _scan(queries: Tensor, candidates: Tensor, k: int, slack: float, back: Shortlist | None) -> Neighbours:
    """The neighbours of the queries; `back` is offered the same scores for the candidates."""
    found = []
    with _whole_fp32(queries.device):
        for query, rows in _blocks(queries):
            there = Shortlist(len(rows), len(candidates), k, slack, queries.device)
            rough = rows.float()
            for candidate, columns in _blocks(candidates):
                scores = linear(rough, columns.float(), None)
                there.offer(scores, 0, candidate)
                if back is not None:
                    back.offer(scores.T, candidate, query)
            found.append(there.resolve(rows, candidates))
    return together(found)


def _blocks(vectors: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Blocks and the number of their first vector."""
    for start in range(0, len(vectors), BLOCK):
        yield start, vectors[start : start + BLOCK]


def _slack(queries: Tensor, candidates: Tensor) -> float | None:
    """How far below another a score can be whose product is larger or ties with it; None where float64 is to tell all.

    Each of the two scores may be off by `_error`. Products tie that are less than a unit of the last decimal apart, for
    which, with all that float64 adds, two are taken.
    """
    if not len(queries) or not len(candidates):
        return None
    longest = [_longest(vectors) for vectors in (queries, candidates)]
    if not all(length <= LONGEST for length in longest):  # nor does NaN pass
        return None
    return 2 * _error(queries.shape[1], *longest) + 2 * 10.0**-DECIMALS


def _error(size: int, *lengths: float) -> float:
    """The most by which a product of two vectors of `size` numbers differs from fp32's, however that sums them up.

    |fl(x'y) - x'y| <= g(n) |x|'|y|, where g(n) = n u / (1 - n u) and u = 2^-24 is fp32's unit roundoff, whatever the order of
    summation, with fused multiply-add or without (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, section
    3.1, (3.5)); |x|'|y| is at most the product of the vectors' lengths (Cauchy and Schwarz): for unit vectors of 1,024 numbers it
    is 6.1e-5. Rounding vectors of float64 to fp32 adds 2 u, the difference of a score and the slack u, and float64's own product
    less than another. CUDA's products of fp32 are such sums too, while TF32 is off (`_whole_fp32`).
    """
    rounded = (size + 4) * 2.0**-24
    return rounded / (1 - rounded) * math.prod(lengths)


def _longest(vectors: Tensor) -> float:
    """No vector is longer: lengths are taken in fp32, whose error is far below the hundredth that is added."""
    lengths = [torch.linalg.vector_norm(block.float(), dim=1).max() for _, block in _blocks(vectors)]
    return 1.01 * float(torch.stack(lengths).max())


@contextmanager
def _whole_fp32(device: torch.device) -> Iterator[None]:
    """fp32 is fp32: neither TF32 nor bfloat16 inside of a product, whatever is allowed elsewhere."""
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(usual)
