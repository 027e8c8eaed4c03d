"""An experiment's numbers: how many of its stages stand where, how far it is, and when it may be done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from statistics import fmean
from typing import Any

from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.budget import hours, saved, spent
from xstilts_operator.reconcile.standing import DONE, LOST, Standing
from xstilts_operator.views import StageView


def counts(standing: Collection[Standing]) -> dict[str, int]:
    """How many stages stand where. `succeeded` counts the cached ones too; all others are apart, and add up to total."""
    number = {one: sum(other is one for other in standing) for one in Standing}
    return {
        "total": len(standing),
        "succeeded": sum(number[one] for one in DONE),
        **{one.value: number[one] for one in Standing if one is not Standing.SUCCEEDED},
    }


def percent(standing: Mapping[str, Standing], stages: Mapping[str, StageView]) -> int:
    """How far it is: of all stages the done ones, and of those that run the part that their pods have told."""
    total = sum(_part(stages.get(key), one) for key, one in standing.items())
    return total // len(standing) if standing else 0


def seconds_left(
    plan: PlanDocument, standing: Mapping[str, Standing], stages: Mapping[str, StageView], parallelism: int
) -> int | None:
    """An estimate of how long it takes yet; None where nothing tells.

    What is left of a stage is what its pod tells, else the mean time of those of its kind that have run; all of it is
    divided by the number of stages that can run beside each other, and no shorter than the longest.
    """
    means = _mean_seconds(plan, stages)
    left: list[int] = []
    for key, one in standing.items():
        if one in DONE | LOST:
            continue
        stage, mean = stages.get(key), means.get(plan.stages[key].kind)
        told = stage.progress.remaining if stage is not None and one is Standing.RUNNING else None
        if told is None and mean is None:
            return None
        left.append(told if told is not None else mean or 0)
    if not left:
        return 0
    return max(*left, sum(left) // min(parallelism, len(left)))


def gpu_hours(uid: str, stages: Sequence[StageView]) -> dict[str, str]:
    """What the experiment has paid, and what others have paid for it, in GPU-hours."""
    return {"spent": hours(spent(uid, stages)), "saved": hours(saved(uid, stages))}


def rollup(
    plan: PlanDocument,
    standing: Mapping[str, Standing],
    stages: Mapping[str, StageView],
    *,
    uid: str,
    parallelism: int,
) -> dict[str, Any]:
    """The status' numbers. `stages` are those that are there, by key."""
    left = seconds_left(plan, standing, stages, parallelism)
    return {
        "counts": counts(standing.values()),
        "progressPercent": percent(standing, stages),
        "gpuHours": gpu_hours(uid, list(stages.values())),
        **({"estimatedRemainingSeconds": left} if left is not None else {}),
    }


def _part(stage: StageView | None, standing: Standing) -> int:
    if standing in DONE:
        return 100
    return stage.progress.percent or 0 if stage is not None and standing is Standing.RUNNING else 0


def _mean_seconds(plan: PlanDocument, stages: Mapping[str, StageView]) -> dict[str, int]:
    """Kind -> the mean time from the last attempt's admission to success."""
    taken: dict[str, list[float]] = {}
    for key, stage in stages.items():
        if stage.succeeded and not stage.cached and stage.attempt is not None and stage.completed is not None:
            seconds = (stage.completed - stage.attempt.started) / timedelta(seconds=1)
            taken.setdefault(plan.stages[key].kind, []).append(max(0.0, seconds))
    return {kind: round(fmean(seconds)) for kind, seconds in taken.items()}
