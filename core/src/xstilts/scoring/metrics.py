"""From a task's metric to its numbers, and from its numbers to the one that stands for the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from xstilts.scoring.accuracy import accuracy, token_accuracy
from xstilts.scoring.mining import mining_f1
from xstilts.scoring.mlqa import mlqa
from xstilts.scoring.qqp import accuracy_and_f1
from xstilts.scoring.squad import squad
from xstilts.scoring.squad_v2 import squad_v2
from xstilts.scoring.tagging import tagging_f1
from xstilts.task import Metric

_SCORERS: Mapping[Metric, Callable[[Any, Any], dict[str, float]]] = {
    Metric.ACCURACY: accuracy,
    Metric.ACCURACY_AND_F1: accuracy_and_f1,
    Metric.TAGGING_F1: tagging_f1,
    Metric.TOKEN_ACCURACY: token_accuracy,
    Metric.SQUAD: squad,
    Metric.SQUAD_V2: squad_v2,
    Metric.MINING_F1: mining_f1,
}  # MLQA's, which needs the language, stands apart

MAIN: Mapping[Metric, tuple[str, ...]] = {
    Metric.ACCURACY: ("accuracy",),
    Metric.ACCURACY_AND_F1: ("accuracy", "f1"),
    Metric.TAGGING_F1: ("f1",),
    Metric.TOKEN_ACCURACY: ("accuracy",),
    Metric.SQUAD: ("exact_match", "f1"),
    Metric.SQUAD_V2: ("exact_match", "f1"),
    Metric.MLQA: ("exact_match", "f1"),
    Metric.MINING_F1: ("f1",),
}
"""The numbers whose mean is a metric's main score: XTREME's for its nine tasks, jiant's for the others."""


def score(metric: Metric, gold: Any, predicted: Any, language: str) -> dict[str, float]:
    """The named numbers of a metric, in percent.

    Args:
        metric: the task's.
        gold: labels, one an item (accuracy; Tatoeba's are indices); tags, a list a sentence (tagging);
            {question id: answers} (span QA); pairs of ids (mining).
        predicted: of the same form; {question id: text} for span QA, {question id: (text, null score)} for SQuAD 2.0.
        language: the answers' language; it decides MLQA's normalisation, and nothing else.

    Raises:
        ValueError: nothing to score, unequal numbers, or a language that MLQA does not have.
    """
    if metric is Metric.MLQA:
        return mlqa(gold, predicted, language)
    return _SCORERS[metric](gold, predicted)


def main_score(metric: Metric, scores: Mapping[str, float]) -> float:
    """The one number of a task in a language: XTREME's (exact match and F1 averaged for QA)."""
    return fmean(scores[name] for name in MAIN[metric])
