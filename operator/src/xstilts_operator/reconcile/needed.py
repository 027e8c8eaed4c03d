"""What need not run: a stage that nothing which is still missing depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xstilts.local.schedule import required
from xstilts.stage import Kind
from xstilts_operator.actions import Reference, Resource, Seen
from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import StageView


def needed(
    plan: PlanDocument, stages: Mapping[str, StageView], unasked: Collection[str] = ()
) -> frozenset[str]:
    """The keys that must run: evaluations without scores, and what they need that is not there, or whose weights were dropped.

    `stages` is by key. `unasked` are the keys of evaluations that the store may hold: for those nothing must run yet.
    """
    done = {key for key, stage in stages.items() if stage.readable}
    return required(plan.stages.values(), done.union(unasked))


def needed_for(
    plan: PlanDocument, stages: Mapping[str, StageView], needed: Collection[str], keys: Collection[str]
) -> dict[str, tuple[Seen, ...]]:
    """Why each of these stages is needed: those on the shortest way from it to an evaluation that is missing.

    Without the stage itself, so nothing for an evaluation. `stages` is by key, and so is what is returned.
    """
    nearest: dict[str, tuple[int, str]] = {}  # steps to an evaluation, and where the first of them leads
    for one in reversed(tuple(plan.stages.values())) if keys else ():  # children before parents
        if one.key in needed:
            steps = 0 if one.kind is Kind.EVALUATE else nearest[one.key][0]
            for parent in one.parents.values():
                nearest[parent] = min(nearest.get(parent, (len(plan.stages), "")), (steps + 1, one.key))
    ways: dict[str, tuple[Seen, ...]] = {}
    for key in keys:
        way, at = [], key
        while plan.stages[at].kind is not Kind.EVALUATE:
            _, at = nearest[at]
            way.append(_seen(plan, stages, at))
        ways[key] = tuple(way)
    return ways


def _seen(plan: PlanDocument, stages: Mapping[str, StageView], key: str) -> Seen:
    stage = stages.get(key)
    if stage is None:
        return Seen(Reference(Resource.STAGE, plan.namespace, plan.stages[key].name), "")
    return Seen(stage.reference, stage.version)
