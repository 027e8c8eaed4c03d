"""Which stages an experiment begins now: those that are ready, the longest chain first, within parallelism and budget."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xstilts.local.schedule import State, chain_lengths
from xstilts.plan.placement import gpus, placement
from xstilts.spec import Experiment, Resources
from xstilts_operator.plans import FrozenStage, PlanDocument
from xstilts_operator.reconcile.budget import is_spent
from xstilts_operator.reconcile.companions import LETS_GO_SECONDS
from xstilts_operator.tolerant import rounded, seconds_until
from xstilts_operator.views import AttemptView, ExperimentView, StageState, StageView


@dataclass(frozen=True)
class Admission:
    """What is begun, and what stands in the way of the rest.

    Attributes:
        admitted: the stages, Active with a new attempt, by key.
        waiting: how many are ready and have no slot or no budget.
        budget_spent: whether the budget is what is missing.
        backing_off: keys of those that are ready but for the time of their backoff.
        occupied: keys of those of which an earlier attempt still runs.
        dropped: keys of those that run again once nothing may drop their weights any more.
        again_in: seconds to the end of the first backoff, or until it is looked again whether that is so.
    """

    admitted: Mapping[str, StageView]
    waiting: int = 0
    budget_spent: bool = False
    backing_off: tuple[str, ...] = ()
    occupied: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    again_in: float | None = None


def admit(
    experiment: ExperimentView,
    plan: PlanDocument,
    stages: Mapping[str, StageView],
    *,
    needed: Collection[str],
    occupied: Collection[str],
    began: Mapping[str, datetime],
    parallelism: int,
    now: datetime,
) -> Admission:
    """Decide what an experiment begins.

    Args:
        experiment: with a checked spec; neither suspended nor expired.
        plan: its plan.
        stages: those that are there, by key.
        needed: keys of what must run.
        occupied: names of the stages of which an earlier attempt still runs.
        began: by the names of stages, since when pods of their attempts work.
        parallelism: how many attempts it may have under way.
        now: the time.
    """
    if experiment.experiment is None:
        raise ValueError("an experiment with problems begins nothing")
    ready = [planned for planned in _longest_first(plan, stages, needed) if _is_ready(planned, stages)]
    backing_off = {planned.key for planned in ready if _backs_off(stages[planned.key], now)}
    busy = {planned.key for planned in ready if planned.name in occupied}
    startable = [planned for planned in ready if planned.key not in backing_off | busy]
    slots = max(0, parallelism - sum(is_own(experiment, stage) for stage in stages.values()))
    is_poor = bool(startable) and is_spent(experiment, stages.values(), began, now)
    begun = [] if is_poor else startable[:slots]
    dropped = tuple(key for key in plan.stages if key in needed and key in stages and stages[key].succeeded)
    retries = [time for key in backing_off if (time := stages[key].retry_after) is not None]
    waits = [seconds_until(time, now) for time in retries] + ([LETS_GO_SECONDS] if dropped else [])
    return Admission(
        admitted={
            planned.key: _begin(experiment, experiment.experiment, plan, planned, stages[planned.key], now)
            for planned in begun
        },
        waiting=len(startable) - len(begun),
        budget_spent=is_poor,
        backing_off=tuple(planned.key for planned in ready if planned.key in backing_off),
        occupied=tuple(planned.key for planned in ready if planned.key in busy - backing_off),
        dropped=dropped,
        again_in=min(waits, default=None),
    )


def _longest_first(
    plan: PlanDocument, stages: Mapping[str, StageView], needed: Collection[str]
) -> Iterator[FrozenStage]:
    """The needed stages of which no attempt is under way, those first that most trainings wait for."""
    idle = [
        planned
        for planned in plan.stages.values()
        if planned.key in needed and planned.key in stages and not stages[planned.key].active
    ]
    chains = chain_lengths(tuple(plan.stages.values()), {planned.key: State.WAITING for planned in idle})
    yield from sorted(idle, key=lambda planned: -chains[planned.key])


def _is_ready(planned: FrozenStage, stages: Mapping[str, StageView]) -> bool:
    parents = (stages.get(key) for key in planned.parents.values())
    idle = stages[planned.key].state in {StageState.PENDING, StageState.WAITING}
    own = stages[planned.key].key == planned.key
    return own and idle and all(parent is not None and parent.readable for parent in parents)


def _backs_off(stage: StageView, now: datetime) -> bool:
    return stage.retry_after is not None and stage.retry_after > now


def is_own(experiment: ExperimentView, stage: StageView) -> bool:
    """Whether an attempt of the stage is under way that counts as this experiment's."""
    paid_by = stage.attempt.experiment_uid if stage.attempt else ""
    return stage.active and paid_by == experiment.uid


def _begin(
    experiment: ExperimentView,
    said: Experiment,
    plan: PlanDocument,
    planned: FrozenStage,
    stage: StageView,
    now: datetime,
) -> StageView:
    resources = placement(said.spec, planned.kind, plan.models(planned))
    attempt = AttemptView(
        number=stage.number + 1,
        started=rounded(now),
        experiment=experiment.name,
        experiment_uid=experiment.uid,
        gpus=gpus(resources),
        queue=said.spec.queue_name,
        placement=_frozen(resources),
    )
    return stage.to(StageState.ACTIVE, now, attempt=attempt)


def _frozen(resources: Resources) -> dict[str, Any]:
    """What the attempt is given, said in full where a default could change."""
    said = resources.model_dump(mode="json", exclude_defaults=True)
    return said | {"gpus": resources.gpus, "cpu": resources.cpu, "nodes": resources.nodes}
