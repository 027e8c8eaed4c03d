"""Which trainings give up their weights when an experiment's report is written (`spec.store.keep`)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from xstilts.store.keeping import GIVEN_UP
from xstilts_operator.actions import Resource
from xstilts_operator.plans import PlanDocument
from xstilts_operator.scenes import Sharing
from xstilts_operator.views import StageView


def droppable(
    plan: PlanDocument, stages: Mapping[str, StageView], sharing: Sharing, uid: str
) -> tuple[str, ...]:
    """The keys of an experiment's trainings whose weights are there, as far as is known, and that nobody needs any more.

    A stage stays that has an owner of which nothing is known, or a plan that cannot be read: it may need it, or keep more.

    Args:
        plan: the experiment's.
        stages: those of it that are there, by key.
        sharing: what other experiments have of them.
        uid: the experiment's.
    """
    own, given_up = plan.use, GIVEN_UP[plan.use.keep]
    if not given_up:
        return ()
    whole = _Own(stages)
    mine = [
        key
        for key, one in plan.stages.items()
        if one.phase in given_up and key in stages and stages[key].succeeded and own.lets_go(key, whole)
    ]
    return tuple(key for key in mine if _others_let_go(plan.stages[key].name, stages[key], sharing, uid))


def _others_let_go(name: str, stage: StageView, sharing: Sharing, uid: str) -> bool:
    others = sharing.others(name)
    owners = {owner.uid for owner in stage.owners if owner.kind == Resource.EXPERIMENT}
    if not owners <= {uid, *others}:
        return False
    return all(
        other is not None and other.use.lets_go(stage.key, _Others(other, sharing))
        for other in others.values()
    )


@dataclass(frozen=True)
class _Own(Container[str]):
    """The keys of the stages whose output is there to be read."""

    stages: Mapping[str, StageView]

    def __contains__(self, key: object) -> bool:
        stage = self.stages.get(str(key))
        return stage is not None and stage.readable


@dataclass(frozen=True)
class _Others(Container[str]):
    """The same of another experiment's plan: its stages are looked up when they are asked for."""

    plan: PlanDocument
    sharing: Sharing

    def __contains__(self, key: object) -> bool:
        planned = self.plan.stages.get(str(key))
        stage = self.sharing.stage(planned.name) if planned is not None else None
        return stage is not None and stage.readable
