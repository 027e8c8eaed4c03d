"""Scores with less detail, for places that hold little: a pod's last message, a resource's status."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from statistics import fmean

from xstilts.scoring.metrics import MAIN, main_score
from xstilts.stage import TaskData
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


def whole_scores(scores: Scores, data: Iterable[TaskData]) -> dict[str, dict[str, dict[str, str]]]:
    """Of the tasks and languages that are evaluated, those that have every number of the task's main score."""
    whole = {}
    for rows in data:
        metrics = scores.get(rows.task.name, {})
        main = [metrics.get(name, {}) for name in MAIN[rows.task.metric]]
        languages = [code for code in rows.languages if all(code in numbers for numbers in main)]
        if languages:
            whole[rows.task.name] = {
                name: {code: numbers[code] for code in languages if code in numbers}
                for name, numbers in metrics.items()
            }
    return whole


def headline(scores: Scores, data: Collection[TaskData]) -> str:
    """Such as `xquad 60.2, xnli 71.3`: the mean of each task's main score over its languages; "" where there is none."""
    evaluated = {rows.task.name: rows.task.metric for rows in data}
    return ", ".join(
        f"{task} {_mean(evaluated[task], metrics):z.1f}"
        for task, metrics in whole_scores(scores, data).items()
    )


def _mean(metric: Metric, metrics: Mapping[str, Mapping[str, str]]) -> float:
    return fmean(
        main_score(metric, {name: float(metrics[name][code]) for name in MAIN[metric]})
        for code in metrics[MAIN[metric][0]]
    )
