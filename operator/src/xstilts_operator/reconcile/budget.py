"""GPU-seconds of an experiment: what it has paid, what others have paid for it, and what its budget leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from xstilts_operator.views import ExperimentView, StageView

SECONDS_PER_HOUR = 3600


def spent(uid: str, stages: Iterable[StageView]) -> int:
    """The GPU-seconds that an experiment has paid; attempts pay when they end."""
    return sum(one.gpu_seconds for stage in stages for one in stage.usage if one.experiment_uid == uid)


def saved(uid: str, stages: Iterable[StageView]) -> int:
    """The GPU-seconds that others have paid for stages that this one needs, and that succeeded; what the store had too."""
    return sum(
        one.gpu_seconds
        for stage in stages
        if stage.succeeded
        for one in stage.usage
        if one.experiment_uid != uid
    )


def is_spent(
    experiment: ExperimentView,
    stages: Iterable[StageView],
    began: Mapping[str, datetime],
    now: datetime,
) -> bool:
    """Whether the budget admits no new attempt: what works counts as far as it has got, what waits does not.

    `began`: by the names of stages, since when pods of their attempts work.
    """
    spec = experiment.experiment.spec if experiment.experiment else None
    if spec is None or spec.budget is None:
        return False
    stages = list(stages)
    total = spent(experiment.uid, stages) + sum(
        _running(experiment.uid, stage, began, now) for stage in stages
    )
    return total >= spec.budget.gpu_hours * SECONDS_PER_HOUR


def hours(seconds: int) -> str:
    """GPU-hours as a decimal of two digits, rounded to the nearest, halves up."""
    hundredths = (seconds * 100 * 2 + SECONDS_PER_HOUR) // (2 * SECONDS_PER_HOUR)
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _running(uid: str, stage: StageView, began: Mapping[str, datetime], now: datetime) -> int:
    attempt, since = stage.attempt, began.get(stage.name)
    if not stage.active or attempt is None or attempt.experiment_uid != uid or since is None:
        return 0
    return attempt.gpus * max(0, (now - since) // timedelta(seconds=1))
