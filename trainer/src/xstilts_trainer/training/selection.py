"""Which epoch is kept: the one with the best dev score."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TypeAlias

DevScores: TypeAlias = dict[str, float]
"""Task -> its main score on dev, in percent; none where a stage has no selection data."""


def best_epoch(epochs: Sequence[DevScores]) -> int:
    """The epoch (0-based) with the highest mean score over tasks, the earlier one on ties; the last if none has scores.

    Raises:
        ValueError: no epoch has ended.
    """
    if not epochs:
        raise ValueError("no epoch has ended: there is nothing to choose from")
    if not epochs[-1]:
        return len(epochs) - 1
    means = [fmean(scores.values()) for scores in epochs]
    return means.index(max(means))
