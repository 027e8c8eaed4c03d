"""A TransferExperiment as decisions see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from xstilts.errors import Problem
from xstilts.spec import Experiment
from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.tolerant import count, integer, mapping, moment, text
from xstilts_operator.views.common import Condition, find_condition, view_conditions
from xstilts_operator.views.stage import SUCCEEDED


@dataclass(frozen=True)
class ExperimentView:
    """A TransferExperiment.

    Attributes:
        experiment: its spec, checked; None where it has `problems`.
        suspended, deadline, retry_failed, ttl: of its spec, also where the rest of it has problems; seconds.
        conditions: of its status.
        started: when it was accepted; its grid only grows from then on.
        completed: when it came to its end.
        active_seconds: its own clock, up to `active_since`, from when on it runs; suspensions stand outside.
        plan: the name of the ConfigMap that its stages come from.
        planned_generation: the generation of the spec that this plan was last found to cover.
        looked_up: the plan whose stages the store has been asked for.
        report: what is said of the report.
        written: the status as it is there.
    """

    namespace: str
    name: str
    uid: str
    version: str = ""
    generation: int = 0
    deleting: bool = False
    experiment: Experiment | None = None
    problems: tuple[Problem, ...] = ()
    suspended: bool = False
    deadline: int | None = None
    retry_failed: datetime | None = None
    ttl: int | None = None
    conditions: tuple[Condition, ...] = ()
    observed_generation: int = 0
    started: datetime | None = None
    completed: datetime | None = None
    active_seconds: int = 0
    active_since: datetime | None = None
    plan: str = ""
    planned_generation: int = 0
    looked_up: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def reference(self) -> Reference:
        """This very object."""
        return Reference(Resource.EXPERIMENT, self.namespace, self.name, self.uid)

    @property
    def queue(self) -> str | None:
        """Kueue's LocalQueue, of its spec."""
        return self.experiment.spec.queue_name if self.experiment else None

    @property
    def summary(self) -> Condition | None:
        """The condition Succeeded."""
        return find_condition(self.conditions, SUCCEEDED)

    @property
    def finished(self) -> bool:
        """Whether it has come to its end with the spec that it has now."""
        ended = self.summary is not None and self.summary.status != "Unknown"
        return ended and self.completed is not None and self.observed_generation == self.generation


def view_experiment(
    obj: Object, experiment: Experiment | None, problems: tuple[Problem, ...] = ()
) -> ExperimentView:
    """Read a TransferExperiment, whatever stands in it; its spec has been parsed to an experiment or to problems."""
    metadata, spec, status = mapping(obj, "metadata"), mapping(obj, "spec"), mapping(obj, "status")
    plan = mapping(status, "plan")
    return ExperimentView(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=text(metadata.get("resourceVersion")),
        generation=count(metadata.get("generation")),
        deleting="deletionTimestamp" in metadata,
        experiment=experiment,
        problems=problems,
        suspended=spec.get("suspend") is True,
        deadline=integer(spec.get("activeDeadlineSeconds")),
        retry_failed=moment(spec.get("retryFailedAt")),
        ttl=integer(spec.get("ttlSecondsAfterFinished")),
        conditions=view_conditions(status.get("conditions")),
        observed_generation=count(status.get("observedGeneration")),
        started=moment(status.get("startTime")),
        completed=moment(status.get("completionTime")),
        active_seconds=count(status.get("activeSeconds")),
        active_since=moment(status.get("activeSince")),
        plan=text(plan.get("name")),
        planned_generation=count(plan.get("generation")),
        looked_up=text(mapping(status, "lookup").get("plan")),
        report=mapping(status, "report"),
        written=status,
    )
