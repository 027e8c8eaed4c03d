"""Where each stage of a plan stands, for one experiment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.queues import QUEUED
from xstilts_operator.views import StageState, StageView


class Standing(StrEnum):
    """Where a stage stands; each in one place."""

    SUCCEEDED = "succeeded"  # in an attempt that the experiment has paid for
    CACHED = "cached"  # it was there, another has run it, or nothing needs it any more
    RUNNING = "running"
    QUEUED = "queued"  # admitted, and waits in a queue of Kueue
    PENDING = "pending"
    FAILED = "failed"
    BLOCKED = "blocked"  # a stage that it needs has failed


DONE: Final = frozenset({Standing.SUCCEEDED, Standing.CACHED})
LOST: Final = frozenset({Standing.FAILED, Standing.BLOCKED})
TERMINAL: Final = DONE | LOST


def standings(
    plan: PlanDocument, stages: Mapping[str, StageView], needed: Collection[str], payer: str
) -> dict[str, Standing]:
    """The standing of each stage, by key.

    Args:
        plan: the experiment's.
        stages: those that are there, by key.
        needed: the keys that must run.
        payer: the experiment's UID.
    """
    found: dict[str, Standing] = {}
    for key, planned in plan.stages.items():  # parents first
        found[key] = _standing(stages.get(key), needed=key in needed, payer=payer)
        if found[key] is Standing.PENDING and any(
            found[parent] in LOST for parent in planned.parents.values()
        ):
            found[key] = Standing.BLOCKED
    return found


def _standing(stage: StageView | None, *, needed: bool, payer: str) -> Standing:
    if (
        stage is not None and stage.succeeded and not needed
    ):  # else its weights were dropped, and it runs again
        paid = any(one.experiment_uid == payer for one in stage.usage)
        own = paid or (stage.attempt is not None and stage.attempt.experiment_uid == payer)
        return Standing.SUCCEEDED if own and not stage.cached else Standing.CACHED
    if stage is not None and stage.active:
        return Standing.QUEUED if stage.reason == QUEUED else Standing.RUNNING
    if not needed:
        return Standing.CACHED
    failed = stage is not None and stage.state is StageState.FAILED
    return Standing.FAILED if failed else Standing.PENDING
