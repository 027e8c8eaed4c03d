"""Nearest neighbours in float64, which is what a neighbour is: the rule, with ties that always fall the same way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2048  # queries and candidates at a time: 32 MiB of float64 scores
PAIRS = 128  # at a time: 2 MiB of float64 vectors of 1,024, which a processor's cache holds
DECIMALS = 9


@dataclass(frozen=True)
class Neighbours:
    """The k best candidates of Q queries, the best first: `scores` float64 [Q, k], `indices` int64 [Q, k]."""

    scores: Tensor
    indices: Tensor


def together(found: list[Neighbours]) -> Neighbours:
    """Those of some queries above those of others."""
    return Neighbours(
        scores=torch.cat([block.scores for block in found]),
        indices=torch.cat([block.indices for block in found]),
    )


def nearest_in_float64(queries: Tensor, candidates: Tensor, k: int) -> Neighbours:
    """The min(k, C) candidates with the largest dot product, for each query; among equals the lower index first.

    Products are taken in float64 and rounded to 9 decimals: a matrix product's last bits hang on where in the matrix a
    vector stands, so without rounding two equal candidates would not tie. Memory holds one block of scores at a time.

    Args:
        queries: [Q, H].
        candidates: [C, H].
        k: how many neighbours, at least 1.
    """
    return together([_nearest(block.double(), candidates, k) for block in torch.split(queries, BLOCK)])


def products(queries: Tensor, candidates: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The products [P] of P pairs alone, as `nearest_in_float64` takes them: query rows[p] with candidate columns[p]."""
    found = [
        queries.index_select(0, row).double().mul_(candidates.index_select(0, column).double()).sum(dim=1)
        for row, column in zip(torch.split(rows, PAIRS), torch.split(columns, PAIRS), strict=True)
    ]
    return torch.round(torch.cat(found), decimals=DECIMALS)


def _nearest(queries: Tensor, candidates: Tensor, k: int) -> Neighbours:
    best_scores = queries.new_empty((len(queries), 0))
    best_indices = torch.empty((len(queries), 0), dtype=torch.long, device=queries.device)
    for number, block in enumerate(torch.split(candidates, BLOCK)):
        top = _largest(torch.round(queries @ block.double().T, decimals=DECIMALS), k)
        scores = torch.cat([best_scores, top.scores], dim=1)
        indices = torch.cat([best_indices, top.indices + number * BLOCK], dim=1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
        best_scores, best_indices = scores.gather(1, order), indices.gather(1, order)
    return Neighbours(best_scores, best_indices)


def _largest(scores: Tensor, k: int) -> Neighbours:
    """The k largest of each row by k passes: torch.topk does not say which of equals it takes, argmax does."""
    columns: list[Tensor] = []
    values: list[Tensor] = []
    for _ in range(min(k, scores.shape[1])):
        column = scores.argmax(dim=1, keepdim=True)
        columns.append(column)
        values.append(scores.gather(1, column))
        scores.scatter_(1, column, float("-inf"))
    return Neighbours(torch.cat(values, dim=1), torch.cat(columns, dim=1))
