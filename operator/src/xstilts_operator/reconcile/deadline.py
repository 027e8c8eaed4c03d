"""An experiment's own clock: it stands while the experiment is suspended, and may not pass activeDeadlineSeconds."""

from __future__ import annotations

from datetime import datetime, timedelta

from xstilts_operator.views import ExperimentView


def active_seconds(experiment: ExperimentView, now: datetime) -> int:
    """How long it has been active, suspensions left out."""
    if experiment.active_since is None:
        return experiment.active_seconds
    return experiment.active_seconds + max(0, (now - experiment.active_since) // timedelta(seconds=1))


def remaining(experiment: ExperimentView, now: datetime) -> int | None:
    """The seconds that are left to it; None where it has no deadline."""
    if experiment.deadline is None:
        return None
    return max(0, experiment.deadline - active_seconds(experiment, now))


def expired(experiment: ExperimentView, now: datetime) -> bool:
    """Whether its time is spent."""
    return remaining(experiment, now) == 0
