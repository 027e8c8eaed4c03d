"""What a training run leaves for people to read: dev.json and training.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from xstilts_trainer.training.selection import DevScores, best_epoch
from xstilts_trainer.training.task_data import TrainingSet

LOSS_POINTS = 200


def dev_record(epochs: Sequence[DevScores], sets: Mapping[str, TrainingSet]) -> dict[str, Any]:
    """The main score of each task after each epoch; which epoch was kept (from 1), and the mean of its scores."""
    best = best_epoch(epochs)
    return {
        "best": best + 1,
        "score": repr(fmean(epochs[best].values())) if epochs[best] else None,
        "epochs": [{task: repr(score) for task, score in scores.items()} for scores in epochs],
        "examples": {
            name: sum(len(test_set.examples) for test_set in of_task.dev) for name, of_task in sets.items()
        },
    }


def task_records(sets: Mapping[str, TrainingSet]) -> dict[str, dict[str, int]]:
    """How many examples each task trains on, the features they become, and how many lost text to the length limit."""
    return {
        name: {
            "examples": len(of_task.origins),
            "features": len(of_task.encoded.features),
            "truncated": of_task.encoded.cut,
        }
        for name, of_task in sets.items()
    }


def loss_curve(losses: Sequence[float]) -> list[dict[str, Any]]:
    """The mean loss of at most 200 equal parts of the run, each by its last step."""
    stride = -(-len(losses) // LOSS_POINTS)
    parts = [losses[start : start + stride] for start in range(0, len(losses), stride)]
    return [
        {"step": min((index + 1) * stride, len(losses)), "mean": repr(fmean(part))}
        for index, part in enumerate(parts)
    ]
