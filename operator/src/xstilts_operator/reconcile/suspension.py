"""Whether a stage may go on running: while at least one experiment wants it to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xstilts_operator.reconcile.deadline import expired, remaining
from xstilts_operator.views import ExperimentView


def wants(experiment: ExperimentView, now: datetime) -> bool:
    """Whether an experiment wants the stages that it needs to run; a spent budget only admits no new ones."""
    gone = experiment.deleting or experiment.suspended
    return not gone and not experiment.finished and not expired(experiment, now)


def why_stopped(needed_by: Sequence[ExperimentView], now: datetime) -> tuple[str, str]:
    """The reason and message of a stage that no experiment wants to run."""
    here = [one for one in needed_by if not one.deleting]
    suspended = [one.name for one in here if one.suspended]
    if suspended:
        return "Suspended", f"suspended: {_some(suspended)}"
    late = [one.name for one in here if expired(one, now)]
    if late:
        return "DeadlineExceeded", f"past activeDeadlineSeconds: {_some(late)}"
    return "NotWanted", "no experiment that is under way needs it"


def lapses_in(needed_by: Sequence[ExperimentView], now: datetime) -> int | None:
    """In how many seconds the last experiment that wants it is past its deadline; None where one has no deadline."""
    left = [remaining(one, now) for one in needed_by if wants(one, now)]
    bounded = [seconds for seconds in left if seconds is not None]
    return max(bounded, default=None) if len(bounded) == len(left) else None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
