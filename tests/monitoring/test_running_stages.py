"""Stages that run as metrics: those of several seeds are one series, and only what their own attempt has told counts."""

from __future__ import annotations

from typing import Any

from monitoring.planned import NAMESPACE, plan_in
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.metrics.running import running
from xstilts_operator.plans import FrozenStage

TOLD = {"1": (20, 300), "2": (60, 100)}  # seed -> percent and seconds that are left
TRAIN = "train xnli after none on sizes"


def found(status_of: Any) -> dict[str, dict[tuple[str, ...], float]]:
    cache = Cache()
    plan_in(cache, "sizes", status_of, seeds=(1, 2))
    return {name: dict(values) for name, _, _, values in running(cache.list(Resource.STAGE))}


def active(stage: FrozenStage, told_attempt: int = 3) -> dict[str, Any]:
    if not stage.title.startswith("train"):
        return {"state": "Pending"}
    percent, left = TOLD[stage.title[-1]]
    progress = {"attempt": told_attempt, "percent": percent, "estimatedRemainingSeconds": left}
    return {"state": "Active", "attempt": {"number": 3, "experiment": "sizes"}, "progress": progress}


def test_the_seeds_of_a_stage_are_one_series() -> None:
    labels = (NAMESPACE, "sizes", "train", TRAIN)
    assert found(active) == {
        "xstilts_running_stages": {labels: 2},
        "xstilts_running_stage_progress_ratio": {labels: 0.4},
        "xstilts_running_stage_remaining_seconds": {labels: 300},
    }


def test_what_an_earlier_attempt_has_told_is_left_out() -> None:
    told = found(lambda stage: active(stage, told_attempt=2))
    assert told["xstilts_running_stages"] == {(NAMESPACE, "sizes", "train", TRAIN): 2}
    assert told["xstilts_running_stage_progress_ratio"] == {}
    assert told["xstilts_running_stage_remaining_seconds"] == {}


def test_what_does_not_run_is_no_series() -> None:
    assert found(lambda _: {"state": "Succeeded"}) == {
        "xstilts_running_stages": {},
        "xstilts_running_stage_progress_ratio": {},
        "xstilts_running_stage_remaining_seconds": {},
    }
