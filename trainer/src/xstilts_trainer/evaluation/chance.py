"""What guessing gets: the number beside which a score is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xstilts.task import Metric


def uniform_chance(candidates: int) -> float:
    """The accuracy, in percent, of a blind guess among so many labels, choices or sentences."""
    return 100 / candidates


def tag_chance(metric: Metric, gold: Sequence[Sequence[str]]) -> float | None:
    """The token accuracy, in percent, of always giving the most frequent tag; None for F1, which it does not compare with."""
    if metric is not Metric.TOKEN_ACCURACY:
        return None
    tags = Counter(tag for sentence in gold for tag in sentence)
    return 100 * max(tags.values()) / tags.total()
