"""Scores with less detail, for places that hold little: a pod's last message, a resource's status."""

from __future__ import annotations

from collections.abc import Mapping

from xstilts.scoring.metrics import MAIN
from xstilts.task import Metric

Scores = Mapping[str, Mapping[str, Mapping[str, str]]]  # task -> metric -> language -> decimal in percent


def main_scores(scores: Scores, metrics: Mapping[str, Metric]) -> dict[str, dict[str, dict[str, str]]]:
    """Only the numbers that a task's main score is made of; `metrics` are the tasks'."""
    return {
        task: {name: dict(values) for name, values in by_name.items() if name in MAIN[metrics[task]]}
        for task, by_name in scores.items()
    }


def rounded(scores: Scores) -> dict[str, dict[str, dict[str, str]]]:
    """The same numbers with two digits."""
    return {
        task: {
            name: {language: f"{float(value):.2f}" for language, value in values.items()}
            for name, values in by_name.items()
        }
        for task, by_name in scores.items()
    }
