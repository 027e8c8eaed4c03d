"""An evaluation's scores in a few words: what `kubectl get txs` shows of it."""

from __future__ import annotations

from statistics import fmean

from pydantic import ValidationError

from xstilts.scoring import MAIN, main_score
from xstilts.stage import EvaluateSpec, Kind, Stage, TaskData
from xstilts_operator.views.stage import Scores

LONGEST = 256  # characters


def headline(text: str, scores: Scores) -> str:
    """Such as `xquad 60.2, xnli 71.3`: the mean of each task's main score over its languages; "" where there is none.

    `text` is the stage as JSON.
    """
    if not scores:
        return ""
    try:
        stage = Stage.model_validate_json(text)
        data = EvaluateSpec.model_validate(stage.spec).data if stage.kind is Kind.EVALUATE else ()
    except ValidationError:
        return ""
    means = ((rows.task.name, _mean(rows, scores)) for rows in data)
    return ", ".join(f"{name} {mean:z.1f}" for name, mean in means if mean is not None)[:LONGEST]


def _mean(rows: TaskData, scores: Scores) -> float | None:
    """Over the languages that have every number of the main score."""
    metrics = {name: scores.get(rows.task.name, {}).get(name, {}) for name in MAIN[rows.task.metric]}
    values = [
        main_score(rows.task.metric, {name: float(numbers[code]) for name, numbers in metrics.items()})
        for code in rows.languages
        if all(code in numbers for numbers in metrics.values())
    ]
    return fmean(values) if values else None
