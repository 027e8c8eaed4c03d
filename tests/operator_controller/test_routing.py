"""What is looked at because of a change."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.names import EXPERIMENT_LABEL, STAGE_LABEL
from xstilts_operator.routing import Key, visits

NAMESPACE, STAGE = "team", "train-1"


def obj(name: str, labels: dict[str, str] | None = None, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, "labels": labels or {}}, **parts}


@pytest.mark.parametrize(("name", "is_plan"), [("grid-plan", True), ("made-up", False)])
def test_only_the_plan_that_an_experiment_names_is_told_to_its_stages(name: str, *, is_plan: bool) -> None:
    cache = Cache()
    cache.upsert(Resource.EXPERIMENT, obj("grid", status={"plan": {"name": "grid-plan"}}))
    cache.index_plan("uid-grid", NAMESPACE, "grid", [STAGE])
    change = cache.upsert(Resource.CONFIG_MAP, obj(name, {EXPERIMENT_LABEL: "grid"}))
    assert change is not None
    looked_at = {visit.key for visit in visits(change, cache)}
    stages = {Key(Resource.STAGE, NAMESPACE, STAGE)} if is_plan else set()
    assert looked_at == {Key(Resource.EXPERIMENT, NAMESPACE, "grid")} | stages


@pytest.mark.parametrize("resource", [Resource.JOB, Resource.POD])
@pytest.mark.parametrize(
    ("state", "waits"),
    [("Pending", True), ("Waiting", True), ("Active", False), ("Succeeded", False), ("Failed", False)],
)
def test_what_is_left_of_an_attempt_is_told_to_those_who_wait_for_the_next(
    resource: Resource, state: str, *, waits: bool
) -> None:
    cache = Cache()
    for name in ("grid", "other", "stranger"):
        cache.upsert(Resource.EXPERIMENT, obj(name))
    for name in ("grid", "other"):
        cache.index_plan(f"uid-{name}", NAMESPACE, name, [STAGE])
    cache.upsert(Resource.STAGE, obj(STAGE, status={"state": state}))
    left = obj("train-1-1", {STAGE_LABEL: STAGE, EXPERIMENT_LABEL: "grid"})
    cache.upsert(resource, left)
    change = cache.delete(resource, left)
    assert change is not None
    looked_at = {visit.key for visit in visits(change, cache)}
    experiments = {Key(Resource.EXPERIMENT, NAMESPACE, name) for name in ("grid", "other")}
    assert looked_at == {Key(Resource.STAGE, NAMESPACE, STAGE)} | (experiments if waits else set())
