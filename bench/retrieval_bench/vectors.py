"""Vectors to measure with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK = 2048


def both_sides(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Sources and targets [S, H] of unit length, made in place: nothing else of their size is ever held.

    The first half of the targets have a cosine of about 0.7 with the source of their row, the others of about 0.
    """
    generator = torch.Generator().manual_seed(20)
    sources, targets = torch.empty(count, size), torch.empty(count, size)
    for start in range(0, count, BLOCK):
        for side in (sources, targets):
            block = side[start : start + BLOCK]
            block.copy_(normalize(block.normal_(generator=generator), dim=1))
    for start in range(0, count // 2, BLOCK):
        rows = slice(start, min(start + BLOCK, count // 2))
        targets[rows] = normalize(targets[rows] + sources[rows], dim=1)
    return sources, targets
