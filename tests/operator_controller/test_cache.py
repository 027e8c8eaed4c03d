"""The cache: whatever the order in which versions and deletions arrive, it ends with the newest, and its indexes agree."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts_operator.actions import Object, Resource
from xstilts_operator.cache import Cache
from xstilts_operator.names import STAGE_LABEL

OWNER = {"kind": "TransferExperiment", "name": "grid", "uid": "x1"}


def stage(name: str = "a", uid: str = "u1", version: int = 1, **metadata: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            **metadata,
        },
        "spec": {"parentStages": ["parent"]},
        "status": {"state": f"at {version}"},
    }


def pod(name: str, version: int, **labels: str) -> Object:
    metadata = {
        "name": name,
        "namespace": "ns",
        "uid": name,
        "resourceVersion": str(version),
        "labels": labels,
    }
    return {
        "metadata": metadata,
        "spec": {"containers": [{"env": ["x" * 1000]}]},
        "status": {"phase": "Running"},
    }


def test_an_older_version_changes_nothing() -> None:
    cache = Cache()
    assert cache.upsert(Resource.STAGE, stage(version=10)) is not None
    assert cache.upsert(Resource.STAGE, stage(version=9)) is None  # 9 < 10, although "9" > "10"
    found = cache.get(Resource.STAGE, "ns", "a")
    assert found is not None
    assert found["status"] == {"state": "at 10"}


def test_what_was_deleted_does_not_come_back() -> None:
    cache = Cache()
    cache.upsert(Resource.STAGE, stage(version=1))
    cache.delete(Resource.STAGE, stage(version=3))
    assert cache.upsert(Resource.STAGE, stage(version=2)) is None
    assert cache.get(Resource.STAGE, "ns", "a") is None


def test_what_is_selected_again_comes_back() -> None:
    """Somebody has taken our label off a Job, and has put it on again: its watch tells of a deletion in between."""
    cache = Cache()
    cache.upsert(Resource.JOB, stage(version=1))
    assert cache.delete(Resource.JOB, stage(version=3), 3) is not None
    assert cache.upsert(Resource.JOB, stage(version=3)) is None
    assert cache.upsert(Resource.JOB, stage(version=4)) is not None
    assert cache.upsert(Resource.JOB, stage(version=2)) is None
    cache.sweep(Resource.JOB, set(), "7")
    assert cache.upsert(Resource.JOB, stage(version=6)) is None
    assert cache.upsert(Resource.JOB, stage(version=8)) is not None


def test_the_deletion_of_a_namesake_that_was_there_before_is_not_ours() -> None:
    cache = Cache()
    cache.upsert(Resource.STAGE, stage(uid="new", version=5))
    assert cache.delete(Resource.STAGE, stage(uid="old", version=4)) is None
    assert cache.get(Resource.STAGE, "ns", "a") is not None


def test_a_sweep_leaves_what_came_after_the_list() -> None:
    cache = Cache()
    for name, version in (("listed", 1), ("gone", 2), ("later", 9)):
        cache.upsert(Resource.STAGE, stage(name=name, uid=name, version=version))
    (gone,) = cache.sweep(Resource.STAGE, {"listed"}, "8")
    assert gone.name == "gone"
    assert {one["metadata"]["name"] for one in cache.list(Resource.STAGE)} == {"listed", "later"}


def test_a_sweep_of_one_namespace_leaves_the_others() -> None:
    cache = Cache()
    cache.upsert(Resource.STAGE, stage())
    assert cache.sweep(Resource.STAGE, set(), "8", "elsewhere") == ()


def test_indexes_follow_their_objects() -> None:
    cache = Cache()
    cache.upsert(Resource.STAGE, stage(version=1, ownerReferences=[OWNER]))
    assert len(cache.stages_of_experiment("x1")) == len(cache.children_of_stage("ns", "parent")) == 1
    cache.upsert(Resource.STAGE, stage(version=2))
    assert cache.stages_of_experiment("x1") == ()
    cache.upsert(Resource.POD, pod("p", 1, **{STAGE_LABEL: "a", "batch.kubernetes.io/job-name": "a-1"}))
    assert cache.pods_of_stage("ns", "a") == cache.pods_of_job("ns", "a-1") != ()


def test_an_experiment_that_is_made_anew_does_not_inherit_a_plan() -> None:
    cache = Cache()
    experiment = {"metadata": {"name": "grid", "namespace": "ns", "uid": "x1", "resourceVersion": "1"}}
    cache.upsert(Resource.EXPERIMENT, experiment)
    cache.index_plan("x1", "ns", "grid", ["a"])
    assert len(cache.experiments_needing("ns", "a")) == 1
    cache.upsert(
        Resource.EXPERIMENT, {"metadata": {**experiment["metadata"], "uid": "x2", "resourceVersion": "2"}}
    )
    assert cache.experiments_needing("ns", "a") == ()
    cache.index_plan("x1", "ns", "grid", ["a"])  # its ConfigMap is seen late
    assert cache.experiments_needing("ns", "a") == ()
    assert cache.needs_of("ns", "grid") == ()


def json_copy(value: Any) -> Any:
    """An equal value of other strings."""
    return json.loads(json.dumps(value))


def test_a_pod_is_kept_without_what_no_decision_reads() -> None:
    cache = Cache()
    cache.upsert(Resource.POD, pod("p", 1))
    assert "containers" not in cache.list(Resource.POD)[0]["spec"]


def test_objects_share_their_strings_and_leave_none_behind() -> None:
    cache, owner = Cache(), {**OWNER, "uid": "the uid of grid"}
    for version, name in enumerate(("a", "b")):
        cache.upsert(Resource.STAGE, stage(name, f"of {name}", version, ownerReferences=[json_copy(owner)]))
    owners = [one["metadata"]["ownerReferences"][0]["uid"] for one in cache.list(Resource.STAGE)]
    assert owners[0] is owners[1]
    again = json_copy(owners[0])
    assert sys.intern(again) is again  # what Python itself remembers, its version 3.12 never forgets


@pytest.mark.parametrize("junk", [None, "text", [1], {"labels": {STAGE_LABEL: 3}}])
def test_garbage_in_an_object_is_taken_in(junk: Any) -> None:
    cache = Cache()
    obj = {**stage(), "spec": junk, "status": junk}
    for resource in Resource:
        assert cache.upsert(resource, obj) is not None


@given(st.permutations(range(8)), st.integers(0, 8))
def test_any_order_of_events_ends_the_same(order: list[int], deleted_after: int) -> None:
    """Versions 1 to 8 of one object, and its deletion, in any order: the newest is known, or that it is gone."""
    cache = Cache()
    for step, number in enumerate(order):
        if step == deleted_after:
            cache.delete(Resource.STAGE, stage(version=100))
        cache.upsert(Resource.STAGE, stage(version=number + 1, ownerReferences=[OWNER] if number % 2 else []))
    found = cache.get(Resource.STAGE, "ns", "a")
    if deleted_after < len(order):
        assert found is None
        assert cache.stages_of_experiment("x1") == ()
    else:
        assert found is not None
        assert found["metadata"]["resourceVersion"] == "8"
        assert cache.stages_of_experiment("x1") == (found,)


def test_what_is_nested_past_every_schema_is_taken_in() -> None:
    deep: Any = "deep"
    for _ in range(900):
        deep = {"deeper": deep}
    cache = Cache()
    cache.upsert(Resource.STAGE, {**stage(), "status": {"state": "Pending", "scores": deep}})
    found = cache.get(Resource.STAGE, "ns", "a")
    assert found is not None
    assert found["status"]["state"] == "Pending"
