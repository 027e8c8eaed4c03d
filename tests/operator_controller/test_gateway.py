"""The gateway on a store: order, adoption, conditional writes, and answers that are lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import pytest

from operator_sim.store import Store
from operator_sim.virtual_time import run
from operator_sim.weather import CrashPoint, FakeApi, Weather
from xstilts_operator.actions import (
    Action,
    ApplyStatus,
    Create,
    CreateJob,
    Delete,
    Reference,
    Resource,
    Seen,
    SetOwners,
)
from xstilts_operator.api import LostReply, Refused
from xstilts_operator.cache import Cache, Change
from xstilts_operator.gateway import (
    EXPERIMENT_STATUS_SECONDS,
    SIDE_BY_SIDE,
    Fenced,
    Gateway,
    Overtaken,
    TooSoon,
)
from xstilts_operator.names import MANAGED_BY, MANAGER

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = {"kind": "TransferStage", "name": "s", "uid": "own", "controller": True}


class LosingApi(FakeApi):
    """Does what it is asked, and loses the answers of the next writes."""

    lose: int = 0

    async def _write(self, work: Callable[[], Any]) -> Any:
        answer = await super()._write(work)
        if self.lose:
            self.lose -= 1
            raise LostReply("connection reset")
        return answer


class Bench:
    """A store, a cache that knows nothing of it yet, and the gateway between them."""

    def __init__(self) -> None:
        self.store = Store(lambda: NOW)
        self.cache = Cache()
        self.changes: list[Change] = []
        self.api = LosingApi(self.store, Weather(rng=None))  # type: ignore[arg-type]  # a clear sky draws nothing
        self.may_write = True
        self.gateway = Gateway(
            self.api, self.cache, lambda _: None, self.changes.append, lambda: self.may_write
        )

    def do(self, *actions: Action) -> None:
        run(self.gateway.execute(actions))

    def active_stage(self, attempt: int = 1) -> Reference:
        made = self.store.create(Resource.STAGE, body("s"))
        status = {"state": "Active", "attempt": {"number": attempt}}
        self.store.apply_status(Resource.STAGE, "ns", "s", status, version=None)
        return Reference(Resource.STAGE, "ns", "s", made["metadata"]["uid"])

    def names(self, resource: Resource) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.store.all(resource)]


def body(name: str, owner: Any = OWN) -> Any:
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "labels": {MANAGED_BY: MANAGER},
            "ownerReferences": [owner],
        }
    }


def test_every_answer_is_in_the_cache_at_once() -> None:
    bench = Bench()
    bench.do(Create(Resource.STAGE, body("s")))
    assert bench.cache.get(Resource.STAGE, "ns", "s") is not None
    assert [change.name for change in bench.changes] == ["s"]


def test_what_is_there_already_is_adopted_and_the_rest_is_done() -> None:
    bench = Bench()
    bench.store.create(Resource.STAGE, body("a"))
    bench.do(Create(Resource.STAGE, body("a")), Create(Resource.STAGE, body("b")))
    assert len(bench.cache.list(Resource.STAGE)) == 2


def test_what_another_controls_is_known_but_ends_the_decision() -> None:
    bench = Bench()
    bench.store.create(Resource.CONFIG_MAP, body("plan", {**OWN, "uid": "another's"}))
    with pytest.raises(Overtaken):
        bench.do(Create(Resource.CONFIG_MAP, body("plan")), Create(Resource.STAGE, body("s")))
    assert bench.cache.get(Resource.CONFIG_MAP, "ns", "plan") is not None
    assert bench.names(Resource.STAGE) == []


def test_a_job_is_made_of_the_attempt_that_the_stage_is_at() -> None:
    bench = Bench()
    stage = bench.active_stage(attempt=2)
    bench.do(CreateJob(stage, 2, body("s-2")))
    assert bench.names(Resource.JOB) == ["s-2"]


@pytest.mark.parametrize("left", [Resource.JOB, Resource.POD])
def test_no_job_is_made_while_one_before_it_is_there_untold(left: Resource) -> None:
    bench = Bench()
    stage = bench.active_stage(attempt=2)
    old = body("s-1")
    old["metadata"]["labels"]["batch.kubernetes.io/job-name"] = "s-1"
    bench.store.create(left, old)
    with pytest.raises(Overtaken):
        bench.do(CreateJob(stage, 2, body("s-2")))
    assert bench.store.find(Resource.JOB, "ns", "s-2") is None
    assert bench.cache.get(left, "ns", "s-1") is not None
    bench.do(CreateJob(stage, 2, body("s-2")))  # what is known by now, the decision has seen
    assert bench.store.find(Resource.JOB, "ns", "s-2") is not None


@pytest.mark.parametrize("change", ["attempt", "state", "uid", "gone"])
def test_no_job_is_made_once_the_stage_is_elsewhere(change: str) -> None:
    bench = Bench()
    stage = bench.active_stage()
    if change == "attempt":
        bench.store.apply_status(
            Resource.STAGE, "ns", "s", {"state": "Active", "attempt": {"number": 2}}, version=None
        )
    elif change == "state":
        bench.store.apply_status(
            Resource.STAGE, "ns", "s", {"state": "Pending", "attempt": {"number": 1}}, version=None
        )
    else:
        bench.store.remove(Resource.STAGE, "ns", "s")
        if change == "uid":
            bench.active_stage()
    with pytest.raises(Overtaken):
        bench.do(CreateJob(stage, 1, body("s-1")))
    assert bench.names(Resource.JOB) == []
    known = bench.cache.get(Resource.STAGE, "ns", "s")
    assert (known is None) == (change == "gone")


def test_a_job_whose_answer_was_lost_is_found_and_not_made_twice() -> None:
    bench = Bench()
    stage = bench.active_stage()
    bench.api.lose = 1
    with pytest.raises(LostReply):
        bench.do(CreateJob(stage, 1, body("s-1")))
    bench.do(CreateJob(stage, 1, body("s-1")))
    assert bench.store.made[Resource.JOB, "ns", "s-1"] == 1
    assert bench.cache.get(Resource.JOB, "ns", "s-1") is not None


@pytest.mark.parametrize("write", ["status", "owners"])
def test_a_write_to_an_old_version_reads_the_new_one_and_ends_the_decision(write: str) -> None:
    bench = Bench()
    stage = bench.active_stage()
    action: Action = (
        ApplyStatus(stage, {"state": "Pending"}, "1") if write == "status" else SetOwners(stage, [], "1")
    )
    with pytest.raises(Overtaken):
        bench.do(action, Create(Resource.CONFIG_MAP, body("later")))
    assert bench.names(Resource.CONFIG_MAP) == []
    known = bench.cache.get(Resource.STAGE, "ns", "s")
    assert known is not None
    assert known["status"]["state"] == "Active"


@pytest.mark.parametrize("change", ["status", "spec", "gone", "namesake", "none"])
@pytest.mark.parametrize("spec_alone", [True, False])
def test_what_a_decision_rests_on_is_read_afresh(change: str, *, spec_alone: bool) -> None:
    bench = Bench()
    stage = bench.active_stage()
    version = bench.store.get(Resource.STAGE, "ns", "s")["metadata"]["resourceVersion"]
    made = bench.store.create(Resource.EXPERIMENT, {"metadata": {"name": "x", "namespace": "ns"}, "spec": {}})
    seen = Seen(
        Reference(Resource.EXPERIMENT, "ns", "x", made["metadata"]["uid"]),
        made["metadata"]["resourceVersion"],
        made["metadata"]["generation"] if spec_alone else None,
    )
    if change == "status":
        bench.store.apply_status(Resource.EXPERIMENT, "ns", "x", {"best": "1"}, version=None)
    elif change == "spec":
        bench.store.update(Resource.EXPERIMENT, {**made, "spec": {"suspend": False}})
    elif change in {"gone", "namesake"}:
        bench.store.remove(Resource.EXPERIMENT, "ns", "x")
        if change == "namesake":
            bench.store.create(Resource.EXPERIMENT, {"metadata": {"name": "x", "namespace": "ns"}})
    if change == "none" or (change == "status" and spec_alone):
        bench.do(ApplyStatus(stage, {"state": "Pending"}, version, (seen,)))
        assert bench.store.get(Resource.STAGE, "ns", "s")["status"]["state"] == "Pending"
        return
    for action in (
        ApplyStatus(stage, {"state": "Pending"}, version, (seen,)),
        SetOwners(stage, (), version, (seen,)),
        Delete(stage, rests_on=(seen,)),
    ):
        with pytest.raises(Overtaken):
            bench.do(action)
    assert bench.store.get(Resource.STAGE, "ns", "s")["metadata"]["resourceVersion"] == version
    now = bench.store.find(Resource.EXPERIMENT, "ns", "x")
    known = bench.cache.get(Resource.EXPERIMENT, "ns", "x")
    assert (known or {}).get("metadata") == (now or {}).get("metadata")  # the next decision sees it


def test_what_was_not_there_must_not_be_there() -> None:
    bench = Bench()
    stage = bench.active_stage()
    absent = Seen(Reference(Resource.JOB, "ns", "s-1"), "")
    bench.do(ApplyStatus(stage, {"state": "Active", "reason": "Queued"}, None, (absent,)))
    bench.store.create(Resource.JOB, body("s-1"))
    with pytest.raises(Overtaken):
        bench.do(ApplyStatus(stage, {"state": "Waiting"}, None, (absent,)))
    assert bench.cache.get(Resource.JOB, "ns", "s-1") is not None


@pytest.mark.parametrize("loses", ["before", "while it reads"])
def test_nothing_is_written_by_who_may_have_lost_the_lease(loses: str) -> None:
    bench = Bench()
    stage = bench.active_stage()
    job = bench.store.create(Resource.JOB, body("s-1"))
    written = bench.store.version
    pods_of_job, get = bench.api.pods_of_job, bench.api.get

    async def late(read: Callable[..., Any], *arguments: Any) -> Any:
        bench.may_write = False
        return await read(*arguments)

    for action in (
        Create(Resource.CONFIG_MAP, body("plan")),
        CreateJob(stage, 1, body("s-1")),
        ApplyStatus(stage, {"state": "Pending"}),
        SetOwners(stage, [], "1"),
        Delete(Reference(Resource.JOB, "ns", "s-1", job["metadata"]["uid"])),
    ):
        bench.may_write = loses != "before" and not isinstance(action, Create | SetOwners)
        if bench.may_write:
            bench.cache.upsert(Resource.STAGE, bench.store.get(Resource.STAGE, "ns", "s"))
            bench.api.pods_of_job, bench.api.get = partial(late, pods_of_job), partial(late, get)  # type: ignore[method-assign]
        with pytest.raises(Fenced):
            bench.do(action)
        bench.api.pods_of_job, bench.api.get = pods_of_job, get  # type: ignore[method-assign]
    assert bench.store.version == written


def test_deleting_what_is_gone_or_another_is_fine_and_the_cache_forgets_it() -> None:
    bench = Bench()
    bench.do(Create(Resource.CONFIG_MAP, body("plan")))
    uid = bench.store.get(Resource.CONFIG_MAP, "ns", "plan")["metadata"]["uid"]
    bench.store.remove(Resource.CONFIG_MAP, "ns", "plan")
    bench.store.create(Resource.CONFIG_MAP, body("plan"))
    bench.do(Delete(Reference(Resource.CONFIG_MAP, "ns", "plan", uid)))
    assert bench.names(Resource.CONFIG_MAP) == ["plan"]
    assert bench.cache.get(Resource.CONFIG_MAP, "ns", "plan") is None


def test_a_job_that_is_being_deleted_is_known_as_such() -> None:
    bench = Bench()
    bench.do(Create(Resource.JOB, body("j")))
    bench.do(Delete(Reference(Resource.JOB, "ns", "j")))
    known = bench.cache.get(Resource.JOB, "ns", "j")
    assert known is not None
    assert "deletionTimestamp" in known["metadata"]


def test_an_experiments_status_is_written_at_most_once_a_second() -> None:
    bench = Bench()
    bench.store.create(Resource.EXPERIMENT, {"metadata": {"name": "x", "namespace": "ns"}})
    target = Reference(Resource.EXPERIMENT, "ns", "x")

    async def twice() -> float:
        await bench.gateway.execute([ApplyStatus(target, {"best": "1"})])
        with pytest.raises(TooSoon) as wait:
            await bench.gateway.execute([ApplyStatus(target, {"best": "2"})])
        return wait.value.seconds

    assert 0 < run(twice()) <= EXPERIMENT_STATUS_SECONDS
    assert bench.store.get(Resource.EXPERIMENT, "ns", "x")["status"] == {"best": "1"}


def test_many_neighbours_are_written_side_by_side_and_a_failure_among_them_ends_the_decision() -> None:
    bench = Bench()
    bench.api.lose = 1
    stages = [Create(Resource.STAGE, body(f"s{number}")) for number in range(40)]
    with pytest.raises(LostReply):
        bench.do(*stages, Create(Resource.CONFIG_MAP, body("later")))
    assert len(bench.names(Resource.STAGE)) == 40
    assert bench.names(Resource.CONFIG_MAP) == []


def test_what_is_refused_for_all_is_asked_for_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    asked: list[str] = []

    async def full(_: Resource, stage: Any) -> Any:
        asked.append(stage["metadata"]["name"])
        raise Refused("exceeded quota: count/transferstages.xstilts.dev")

    monkeypatch.setattr(bench.api, "create", full)
    with pytest.raises(Refused):
        bench.do(*(Create(Resource.STAGE, body(f"s{number}")) for number in range(1_000)))
    assert len(asked) == SIDE_BY_SIDE


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_point_is_before_or_after_its_write(when: Literal["before", "after"]) -> None:
    bench = Bench()
    killed: list[bool] = []
    bench.api.crash, bench.api.kill = CrashPoint(0, when), lambda: killed.append(True)
    if when == "before":
        with pytest.raises(LostReply):
            bench.do(Create(Resource.STAGE, body("s")))
    else:
        bench.do(Create(Resource.STAGE, body("s")))
    assert killed == [True]
    assert bench.names(Resource.STAGE) == (["s"] if when == "after" else [])
