"""All that one decision may look at: an experiment or a stage, and what stands around it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import ClaimView, ExperimentView, JobView, PodView, StageView, Work, WorkloadView


@dataclass(frozen=True)
class Companion:
    """A Job that an experiment owns itself (lookup, report), with its pods.

    `ended_for`: seconds, by our own clock, for which it has been known to have ended. `workload` is Kueue's of the Job.
    """

    job: JobView
    pods: tuple[PodView, ...] = ()
    ended_for: float = 0.0
    workload: WorkloadView | None = None


class Sharing(Protocol):
    """What experiments have of each other's stages: looked up when it is asked for."""

    def others(self, name: str) -> Mapping[str, PlanDocument | None]:
        """The plans of the other experiments that are there and need a stage (its name), by UID; None cannot be read."""

    def stage(self, name: str) -> StageView | None:
        """A stage by its name; None where it is not there."""

    def dropping(self, name: str) -> bool:
        """Whether the report of an experiment that needs a stage (its name), this one too, may still drop its weights."""


class _Alone:
    """An experiment that shares nothing."""

    def others(self, name: str) -> Mapping[str, PlanDocument | None]:  # noqa: ARG002 - the protocol's
        return {}

    def stage(self, name: str) -> StageView | None:  # noqa: ARG002 - the protocol's
        return None

    def dropping(self, name: str) -> bool:  # noqa: ARG002 - the protocol's
        return False


@dataclass(frozen=True)
class ExperimentScene:
    """An experiment and what its decision looks at.

    Attributes:
        experiment: it.
        plan: the plan that its status names; None where that is not there, or cannot be read.
        plan_problem: why the plan cannot be read.
        looked_up: the plan whose stages the store has been asked for; None where that is not there, or cannot be read.
        stages: the TransferStages of its plan that are there, by name.
        taken: the names of those, and of ones that are being deleted.
        occupied: those of them of which a pod or a Job of an attempt that is over still runs.
        began: since when the pods of their attempts that are under way work, by name; without those of which none does.
        companions: the Jobs that have the names of its own lookup and reports, or that it owns; by name.
        kueue: whether the API server knows Kueue, as far as it has been asked.
        queued: the names of Jobs, there or gone, that Kueue has a Workload of.
        sharing: what others have of its stages.
        claim: the volume claim of its store; None where it has none, or nothing is known of it.
        refused: in the API server's words, why it has refused what the last decision wanted; "" where it has not.
    """

    experiment: ExperimentView
    plan: PlanDocument | None = None
    plan_problem: str = ""
    looked_up: PlanDocument | None = None
    stages: Mapping[str, StageView] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    occupied: frozenset[str] = frozenset()
    began: Mapping[str, datetime] = field(default_factory=dict)
    companions: Mapping[str, Companion] = field(default_factory=dict)
    kueue: bool = True
    queued: Container[str] = frozenset()
    sharing: Sharing = field(default_factory=_Alone)
    claim: ClaimView | None = None
    refused: str = ""


@dataclass(frozen=True)
class StageScene:
    """A stage and what its decision looks at.

    Attributes:
        stage: it.
        needed_by: the experiments that are there and need it: whose plans name it, or which own it or pay for it already.
        parents: its parents that are there, by name.
        jobs: the Jobs of its attempts.
        pods: the pods of its attempts.
        named: the Job that has the name of the current attempt's, whosever it is.
        workload: Kueue's Workload of that Job.
        has_service: whether the current attempt's Service is there.
        job_seen: whether the current attempt's Job has been seen before, so that it is lost where there is none.
        disruption_seen: whether a pod of the current attempt, there or gone, has been seen to be disrupted.
        ended_for: seconds, by our own clock, for which the Job has been known to have ended; None where it has not.
        gone: when those pods of the current attempt worked that have been seen and are not there any more.
        refused: as of an experiment.
    """

    stage: StageView
    needed_by: tuple[ExperimentView, ...] = ()
    parents: Mapping[str, StageView] = field(default_factory=dict)
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    named: JobView | None = None
    workload: WorkloadView | None = None
    has_service: bool = False
    job_seen: bool = False
    disruption_seen: bool = False
    ended_for: float | None = None
    gone: tuple[Work, ...] = ()
    refused: str = ""
