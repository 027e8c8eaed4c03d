"""The whole status of an experiment that the operator owns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from xstilts_operator.actions import ApplyStatus
from xstilts_operator.reconcile.conditions import Verdict, conditions
from xstilts_operator.reconcile.deadline import active_seconds
from xstilts_operator.tolerant import rounded, stamp
from xstilts_operator.views import ExperimentView


@dataclass(frozen=True)
class PlanStatus:
    """What the status says of the plan.

    Attributes:
        name: of its ConfigMap.
        stages: how many it has.
        generation: of the spec that it was last found to cover.
        looked_up: the plan whose stages the store has been asked for.
    """

    name: str
    stages: int
    generation: int
    looked_up: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a status."""
        said = {"name": self.name, "stages": self.stages, "generation": self.generation}
        return {"plan": said, **({"lookup": {"plan": self.looked_up}} if self.looked_up else {})}


@dataclass(frozen=True)
class Summary:
    """What a status is made of beside what it said before.

    Attributes:
        verdict: of the summary condition.
        plan: None before there is one.
        runs: whether the experiment's own clock runs.
        over: whether it has come to its end.
        numbers: counts, results and all else that is rolled up.
        report: what is said of the report.
    """

    verdict: Verdict
    plan: PlanStatus | None = None
    runs: bool = False
    over: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)


def apply_status(experiment: ExperimentView, summary: Summary, now: datetime) -> tuple[ApplyStatus, ...]:
    """Write the status, or nothing where that is what it says."""
    status = _status(experiment, summary, now)
    if status == experiment.written:
        return ()
    # at the version that was seen: a UID alone does not keep an apply from a namesake that was made meanwhile
    return (ApplyStatus(experiment.reference, status, experiment.version),)


def _status(experiment: ExperimentView, summary: Summary, now: datetime) -> dict[str, Any]:
    started = experiment.started or (rounded(now) if summary.plan else None)
    since = (experiment.active_since or rounded(now)) if summary.runs else None
    seconds = experiment.active_seconds if summary.runs else active_seconds(experiment, now)
    said: dict[str, Any] = {
        "observedGeneration": experiment.generation,
        "conditions": conditions(experiment, summary.verdict, now),
        **summary.numbers,
        **(summary.plan.to_json() if summary.plan else {}),
    }
    optional = {
        "startTime": stamp(started) if started else None,
        "completionTime": stamp(experiment.completed or rounded(now)) if summary.over else None,
        "activeSeconds": seconds or None,
        "activeSince": stamp(since) if since else None,
        "report": dict(summary.report) or None,
    }
    return said | {name: value for name, value in optional.items() if value is not None}
