"""The controller on a store: missed deletions, lists that expire, poison keys, and an end in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from operator_sim.store import Store
from operator_sim.virtual_time import run
from operator_sim.weather import FakeApi, Weather
from xstilts_operator.actions import Decision, Object, Resource
from xstilts_operator.api import Expired, NotFound, Page, Refused, ServerError, TooManyRequests
from xstilts_operator.cache import Cache
from xstilts_operator.controller import RELIST_SECONDS, Controller, Watched
from xstilts_operator.names import EXPERIMENT_LABEL, STAGE_LABEL
from xstilts_operator.routing import PROGRESS_SECONDS, Key
from xstilts_operator.watches import SILENT_SECONDS, Watches
from xstilts_operator.workqueue import WorkQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESYNC = 100.0

EXPERIMENT = Key(Resource.EXPERIMENT, "ns", "grid")
OWNER = {"kind": "TransferExperiment", "name": "grid", "uid": "x1"}

Decide = Callable[[Key, datetime], Decision]


def nothing(_key: Key, _now: datetime) -> Decision:
    return Decision()


class Bench:
    """A controller and the store that it lists; nothing watches unless a test tells."""

    def __init__(self, decide: Decide = nothing, resources: tuple[Resource, ...] = (Resource.STAGE,)) -> None:
        self.store = Store(lambda: NOW)
        self.api = FakeApi(self.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        self.seen: list[Key] = []
        self.decide = decide
        self.watches = Watches()
        self.cache = Cache()
        self.controller = Controller(
            api=self.api,
            cache=self.cache,
            queue=WorkQueue(random.Random(0)),  # noqa: S311 - the same each time
            decide=self._decide,
            watched=Watched(resources),
            clock=lambda: NOW,
            emit=lambda _: None,
            resync_seconds=RESYNC,
            watches=self.watches,
        )

    def _decide(self, key: Key, now: datetime) -> Decision:
        self.seen.append(key)
        return self.decide(key, now)

    def stage(self, name: str, **metadata: Any) -> Any:
        return self.store.create(Resource.STAGE, {"metadata": {"name": name, "namespace": "ns", **metadata}})

    async def start(self, workers: int = 2) -> list[asyncio.Task[None]]:
        loop, controller = asyncio.get_running_loop(), self.controller
        await controller.first_list()
        loops = [controller.resync(), controller.relist(), *(controller.work() for _ in range(workers))]
        return [loop.create_task(work) for work in loops]


def key(name: str) -> Key:
    return Key(Resource.STAGE, "ns", name)


def test_what_a_watch_missed_is_mended_by_the_next_full_list() -> None:
    async def check() -> None:
        bench = Bench()
        bench.stage("kept")
        bench.stage("gone")
        await bench.start()
        bench.store.remove(Resource.STAGE, "ns", "gone")
        bench.stage("new")
        await asyncio.sleep(RESYNC * 1.5)
        assert sorted(one["metadata"]["name"] for one in bench.cache.list(Resource.STAGE)) == ["kept", "new"]
        assert key("gone") in bench.seen[2:]
        assert key("new") in bench.seen

    run(check())


def test_a_watch_that_begins_anew_has_its_kind_listed_soon() -> None:
    async def check() -> None:
        bench = Bench()
        kept = bench.stage("kept")
        bench.stage("gone")
        await bench.start()
        bench.store.remove(Resource.STAGE, "ns", "gone")
        bench.controller.event(Resource.STAGE, None, kept)
        await asyncio.sleep(RELIST_SECONDS + 1)
        assert bench.cache.get(Resource.STAGE, "ns", "gone") is None

    run(check())


def test_a_list_that_expires_begins_again_and_forgets_nothing() -> None:
    class Expiring(FakeApi):
        expired = 0

        async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
            if rest and self.expired < 2:
                self.expired += 1
                raise Expired("too old")
            return await super().list(resource, namespace, rest)

    async def check() -> None:
        bench = Bench()
        bench.controller.api = Expiring(bench.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        for number in range(20):
            bench.stage(f"s{number}")
        await bench.start()
        await asyncio.sleep(10)
        assert len(bench.cache.list(Resource.STAGE)) == len(set(bench.seen)) == 20

    run(check())


@pytest.mark.parametrize("first", [Resource.EXPERIMENT, Resource.CONFIG_MAP])
def test_a_plan_is_read_once_its_experiments_status_names_it(first: Resource) -> None:
    """Anybody may make a ConfigMap that says that it is a plan; the status is the operator's alone."""
    plan, read = SimpleNamespace(stages={"key": None}, by_name={"train-1": None}), []

    def thaw(config_map: Object) -> Any:
        read.append(config_map["metadata"]["name"])
        return plan

    async def check() -> None:
        bench = Bench()
        bench.controller.cache = cache = Cache(thaw)
        label = {EXPERIMENT_LABEL: "grid"}
        told = {
            Resource.EXPERIMENT: made("grid", status={"plan": {"name": "grid-plan"}}),
            Resource.CONFIG_MAP: made("grid-plan", labels=label),
        }
        bench.controller.event(Resource.EXPERIMENT, "ADDED", made("other"))
        for name in ("made-up", "another"):
            bench.controller.event(Resource.CONFIG_MAP, "ADDED", made(name, labels=label))
        for resource in sorted(told, key=lambda resource: resource is not first):
            assert read == []
            bench.controller.event(resource, "ADDED", told[resource])
        assert read == ["grid-plan"]
        assert [one["metadata"]["name"] for one in cache.experiments_needing("ns", "train-1")] == ["grid"]
        waits = []
        while len(bench.controller.queue):
            waits.append(await bench.controller.queue.get())
        assert key("train-1") in waits  # it may be another's by now

    run(check())


def test_every_other_decision_about_what_is_refused_knows_in_whose_words() -> None:
    """So one tells it, where that is news, and the next asks again, be the telling refused too."""
    known: list[str | None] = []

    def decide(key: Key, _now: datetime) -> Decision:
        known.append(bench.controller.refused.get(key))
        if len(known) < 5:
            raise Refused("not allowed")
        return Decision()

    async def check() -> None:
        bench.stage("refused")
        await bench.start()
        await asyncio.sleep(60)
        assert known == [None, "not allowed", None, "not allowed", None]
        assert not bench.controller.refused

    bench = Bench(decide)
    run(check())


def test_a_first_list_waits_for_an_api_server_that_is_away() -> None:
    class Away(FakeApi):
        async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
            if asyncio.get_running_loop().time() < 60:
                raise ServerError("no leader")
            return await super().list(resource, namespace, rest)

    async def check() -> None:
        bench = Bench()
        bench.controller.api = Away(bench.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        bench.stage("s")
        await bench.start()
        assert bench.controller.synced.is_set()
        assert asyncio.get_running_loop().time() >= 60

    run(check())


@pytest.mark.parametrize("refused", ["a", "b"])
def test_a_namespace_that_is_refused_keeps_no_other_from_being_served(refused: str) -> None:
    class Partly(FakeApi):
        async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
            if namespace == refused:
                raise Refused("transferstages.xstilts.dev is forbidden")
            return await super().list(resource, namespace, rest)

    async def check() -> None:
        bench = Bench()
        bench.controller.watched = Watched((Resource.STAGE,), ("a", "b"))
        bench.controller.api = Partly(bench.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        for namespace in ("a", "b"):
            bench.store.create(Resource.STAGE, {"metadata": {"name": "s", "namespace": namespace}})
        await asyncio.wait_for(bench.controller.first_list(), 60)
        served = [stage["metadata"]["namespace"] for stage in bench.cache.list(Resource.STAGE)]
        assert served == ["b" if refused == "a" else "a"]

    run(check())


def test_nothing_is_decided_while_all_is_refused() -> None:
    class Forbidding(FakeApi):
        async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
            raise Refused("transferstages.xstilts.dev is forbidden")

    async def check() -> None:
        bench = Bench()
        bench.controller.api = Forbidding(bench.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bench.controller.first_list(), 60)
        assert not bench.controller.synced.is_set()

    run(check())


def test_without_kueue_there_are_no_workloads() -> None:
    class WithoutKueue(FakeApi):
        async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
            if resource is Resource.WORKLOAD:
                raise NotFound("the server could not find the requested resource")
            return await super().list(resource, namespace, rest)

    async def check() -> None:
        bench = Bench(resources=(Resource.STAGE, Resource.WORKLOAD))
        bench.controller.api = WithoutKueue(bench.store, Weather(random.Random(0)))  # noqa: S311 - the same each time
        await bench.start()
        assert bench.controller.synced.is_set()

    run(check())


@pytest.mark.parametrize(
    "poison", [ValueError("garbage"), RecursionError(), ServerError("no"), TooManyRequests("", 9)]
)
def test_a_key_that_always_fails_delays_no_other_and_comes_ever_less_often(poison: Exception) -> None:
    def decide(what: Key, _now: datetime) -> Decision:
        if what.name == "poison":
            raise poison
        return Decision()

    async def check() -> None:
        bench = Bench(decide)
        bench.stage("poison")
        await bench.start(workers=1)
        for number in range(99):
            bench.controller.event(Resource.STAGE, "ADDED", bench.stage(f"s{number}"))
            await asyncio.sleep(0.5)
            assert bench.seen[-1] == key(f"s{number}") or key(f"s{number}") in bench.seen
        assert bench.seen.count(key("poison")) < 15

    run(check())


def test_a_decision_that_wants_to_look_again_does() -> None:
    async def check() -> None:
        bench = Bench(lambda _key, _now: Decision(again_in=30))
        bench.stage("s")
        await bench.start()
        await asyncio.sleep(RESYNC - 1)
        assert bench.seen == [key("s")] * 4

    run(check())


def test_draining_ends_the_workers_when_they_are_done() -> None:
    async def check() -> None:
        bench = Bench()
        bench.stage("s")
        _, _, *workers = await bench.start()
        bench.controller.drain()
        await asyncio.wait_for(asyncio.gather(*workers), 1)

    run(check())


def test_a_watch_is_silent_only_if_it_does_not_tell_what_a_list_found() -> None:
    async def check() -> None:
        bench = Bench()
        bench.stage("a")
        bench.stage("b")
        await bench.start()
        bench.store.remove(Resource.STAGE, "ns", "a")  # a deletion that was missed is no sign
        await asyncio.sleep(RESYNC + SILENT_SECONDS + 10)
        assert bench.watches.silent() == ()
        new = bench.stage("new")
        await asyncio.sleep(RESYNC + SILENT_SECONDS + 10)
        assert bench.watches.silent() == (Resource.STAGE,)
        bench.controller.event(Resource.STAGE, "ADDED", new)
        assert bench.watches.silent() == ()

    run(check())


def brought_by(resource: Resource, obj: Object, keys: int) -> list[tuple[Key, float]]:
    """The first keys that the next version of an object brings, and after how many seconds."""

    async def check() -> list[tuple[Key, float]]:
        bench, loop = Bench(), asyncio.get_running_loop()
        queue = bench.controller.queue
        bench.cache.upsert(resource, obj)
        bench.controller.event(resource, "MODIFIED", again(obj))
        found = []
        for _ in range(keys):
            one = await queue.get()
            assert one is not None
            found.append((one, loop.time()))
        return found

    return run(check())


def test_a_pod_brings_its_stage_and_a_companions_pod_its_experiment() -> None:
    of_stage = made("p", labels={STAGE_LABEL: "s", EXPERIMENT_LABEL: "payer"})
    assert brought_by(Resource.POD, of_stage, 1) == [(key("s"), 0)]
    of_lookup = made("p", labels={EXPERIMENT_LABEL: "grid"})
    assert brought_by(Resource.POD, of_lookup, 1) == [(EXPERIMENT, 0)]


def test_progress_brings_the_stage_at_once_and_its_experiment_later() -> None:
    stage = made("s", ownerReferences=[OWNER], status={"state": "Active", "progress": {"percent": 1}})
    assert brought_by(Resource.STAGE, stage, 2) == [(key("s"), 0), (EXPERIMENT, PROGRESS_SECONDS)]


def made(name: str, *, status: Any = None, **metadata: Any) -> Object:
    basics = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1"}
    return {"metadata": {**basics, **metadata}, "status": status or {}}


def again(obj: Object) -> Object:
    """The same a version later, with other progress where there is any."""
    status = obj["status"]
    later = {**status, "progress": {"percent": 2}} if "progress" in status else status
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": "2"}, "status": later}
