"""Whole runs of the reference experiment, with and without faults, and what must be the same in both."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from operator_sim.cluster import Cluster
from operator_sim.process import RESYNC_SECONDS, Process
from operator_sim.store import Store
from operator_sim.virtual_time import run
from operator_sim.weather import CrashPoint, Weather
from xstilts.canonical import sha256_hex
from xstilts.plan import plan
from xstilts.spec import read_experiment
from xstilts.stage import Kind, Stage
from xstilts_operator.actions import Resource
from xstilts_operator.names import API_VERSION
from xstilts_operator.tolerant import mapping

NAMESPACE = "team"
START = datetime(2026, 1, 1, tzinfo=UTC)
RESYNCS = 200  # within which everything must come to rest
QUIET = 3  # resyncs without any write are rest


def _source(name: str) -> str:
    return f"store://{name}@sha256:{sha256_hex(name.encode())}"


def experiment(
    name: str, intermediates: tuple[str, ...] = ("mnli",), targets: tuple[str, ...] = ("xnli", "tatoeba")
) -> Any:
    """2 models, none and mnli, xnli and tatoeba, 2 seeds; everything pinned."""
    tasks = sorted({*intermediates, *targets, "mnli"})
    return {
        "apiVersion": API_VERSION,
        "kind": "TransferExperiment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "models": [
                {"name": size, "pretrained": _source(size), "family": "E5"} for size in ("base", "large")
            ],
            "tasks": [{"name": task, "data": _source(task)} for task in tasks],
            "intermediates": [{"name": one, "tasks": [one]} for one in intermediates],
            "targets": [{"task": target} for target in targets],
            "seeds": [1, 2],
            "resources": {"gpus": 1},
        },
    }


@dataclass(frozen=True)
class Scenario:
    """What is submitted, how attempts end, and what the artifact store holds already."""

    name: str
    experiments: tuple[str, ...] = ("reference",)
    script: Callable[[Stage, int], int] = lambda stage, attempt: 0
    held: Callable[[Stage], bool] = lambda stage: False


def _first_training() -> str:
    stages = plan(read_experiment(experiment("reference"))).stages
    return min(one.stage.key for one in stages if one.stage.kind is Kind.TRAIN)


def _part(stage: Stage, parts: int) -> int:
    return int(stage.key[:6], 16) % parts


SCENARIOS = (
    Scenario("all succeed"),
    Scenario("some fail once", script=lambda stage, attempt: int(_part(stage, 2) == 0 and attempt == 1)),
    Scenario(
        "some are interrupted",
        script=lambda stage, attempt: 42 if _part(stage, 3) == 0 and attempt < 3 else 0,
    ),
    Scenario("one is wrong", script=lambda stage, _: 64 if stage.key == _first_training() else 0),
    Scenario("half is there", held=lambda stage: _part(stage, 2) == 0),
    Scenario("two at once", experiments=("reference", "second")),
)


@dataclass(frozen=True)
class Faults:
    """Everything that a seed decides."""

    seed: int

    def rng(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")  # noqa: S311 - it must be the same again


@dataclass
class Outcome:
    """What a run has come to; equal in all runs of a scenario but for `writes` and `seen`."""

    rested: bool
    stages: dict[str, Any]
    jobs: dict[str, int]
    experiments: dict[str, Any]
    left: list[str]
    cached: int
    writes: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def differences(self, other: Outcome) -> Iterator[str]:
        """What is not as in another run, for people."""
        if not self.rested:
            yield f"no rest after {RESYNCS} resyncs"
        if self.cached != other.cached:
            yield f"{self.cached} counted as cached where without faults it is {other.cached}"
        for part in ("stages", "jobs", "experiments"):
            mine, theirs = getattr(self, part), getattr(other, part)
            for name in sorted({*mine, *theirs}):
                if mine.get(name) != theirs.get(name):
                    yield f"{part} {name}: {mine.get(name)} where without faults it is {theirs.get(name)}"
        if self.left != other.left:
            yield f"left over: {self.left} where without faults it is {other.left}"


def scenario_of(seed: int) -> Scenario:
    return SCENARIOS[seed % len(SCENARIOS)]


@cache
def calm(number: int) -> Outcome:
    """The run of a scenario without faults."""
    return run(_play(SCENARIOS[number], None, None))


def faulty(seed: int) -> Outcome:
    """The run of a seed's scenario with the seed's faults."""
    return run(_play(scenario_of(seed), Faults(seed), None))


def crashed(number: int, crash: CrashPoint) -> Outcome:
    """The run of a scenario in which the operator is killed at one write, and started again."""
    return run(_play(SCENARIOS[number], None, crash))


async def _play(scenario: Scenario, faults: Faults | None, crash: CrashPoint | None) -> Outcome:
    loop = asyncio.get_running_loop()
    store = Store(lambda: START + timedelta(seconds=loop.time()))
    chance = (faults or Faults(0)).rng
    manifests = [_manifest(name) for name in scenario.experiments]
    stages = {one.stage.key: one.stage for each in manifests for one in plan(read_experiment(each)).stages}
    held = {key for key, stage in stages.items() if scenario.held(stage)}
    Cluster(store, chance("cluster"), store.clock, scenario.script, held)
    weather = Weather(chance("weather"), clear=faults is None)
    processes = _Processes(store, weather, chance("processes"))
    processes.begin(crash)
    if faults is not None:
        processes.trouble()
        loop.call_later(chance("length").uniform(300, 1800), setattr, weather, "clear", True)
    for manifest in manifests:
        loop.call_later(
            chance(manifest["metadata"]["name"]).uniform(0, 5), store.create, Resource.EXPERIMENT, manifest
        )
    rested = await _rest(store, weather, len(manifests))
    outcome = _outcome(store, rested=rested)
    outcome.writes, outcome.seen = processes.writes(), {**weather.seen, "kill": processes.kills}
    processes.end()
    return outcome


def _manifest(name: str) -> Any:
    return experiment(name) if name == "reference" else experiment(name, ("mnli", "squad"), ("xnli",))


class _Processes:
    """The operator's processes: mostly one, sometimes none, sometimes two."""

    def __init__(self, store: Store, weather: Weather, rng: random.Random) -> None:
        self._store, self._weather, self._rng = store, weather, rng
        self._all: list[Process] = []
        self.kills = 0

    def begin(self, crash: CrashPoint | None = None) -> None:
        skew = timedelta(seconds=0 if self._weather.clear else self._rng.uniform(-120, 120))
        process = Process(
            self._store,
            self._weather,
            random.Random(self._rng.random()),  # noqa: S311 - it must be the same again
            skew,
            crash,
            on_crash=self._after_crash,
        )
        process.start()
        self._all.append(process)

    def trouble(self) -> None:
        """Kills and new beginnings of a seed; the one that works at the end is never killed."""
        loop = asyncio.get_running_loop()
        for _ in range(self._rng.randrange(5)):
            loop.call_later(self._rng.uniform(0, 600), self._replace, self._rng.uniform(-30, 60))

    def writes(self) -> int:
        return sum(process.api.writes for process in self._all)

    def end(self) -> None:
        for process in self._all:
            process.kill()

    def _replace(self, pause: float) -> None:
        """The newest is killed and another begins after a pause; less than 0: before."""
        loop, newest = asyncio.get_running_loop(), self._all[-1]
        self.kills += 1
        if pause >= 0:
            newest.kill()
            loop.call_later(pause, self.begin)
        else:
            self.begin()
            loop.call_later(-pause, newest.kill)

    def _after_crash(self) -> None:
        self.kills += 1
        asyncio.get_running_loop().call_later(1.0, self.begin)


async def _rest(store: Store, weather: Weather, experiments: int) -> bool:
    """Wait until every experiment is at its end and nothing is written any more."""
    quiet = 0
    for _ in range(RESYNCS):
        before = store.version
        await asyncio.sleep(RESYNC_SECONDS)
        ended = [
            one for one in store.all(Resource.EXPERIMENT) if mapping(one, "status").get("completionTime")
        ]
        still = store.version == before and len(ended) == experiments and weather.clear
        quiet = quiet + 1 if still else 0
        if quiet == QUIET:
            return True
    return False


def _counts(one: Any) -> dict[str, int]:
    return dict(mapping(one, "status", "counts"))


def _outcome(store: Store, *, rested: bool) -> Outcome:
    names = {one["metadata"]["uid"]: one["metadata"]["name"] for one in store.all(Resource.EXPERIMENT)}
    return Outcome(
        rested=rested,
        stages={one["metadata"]["name"]: _stage(one, names) for one in store.all(Resource.STAGE)},
        jobs={name: made for (resource, _, name), made in store.made.items() if resource is Resource.JOB},
        experiments={one["metadata"]["name"]: _experiment(one) for one in store.all(Resource.EXPERIMENT)},
        # who of two experiments pays for a stage is the faster; for the other it counts as cached
        cached=sum(_counts(one).get("cached", 0) for one in store.all(Resource.EXPERIMENT)),
        left=sorted(
            obj["metadata"]["name"]
            for resource, ends in ((Resource.JOB, _job_over), (Resource.POD, _pod_over))
            for obj in store.all(resource)
            if not ends(obj)
        ),
    )


def _stage(stage: Any, names: dict[str, str]) -> Any:
    status = mapping(stage, "status")
    owners = sorted(names.get(owner["uid"], "nobody") for owner in stage["metadata"]["ownerReferences"])
    said = {
        name: status.get(name)
        for name in ("state", "reason", "scores", "outputsDigest", "cached", "failures", "resumes")
    }
    return {**said, "owners": owners, "attempts": mapping(status, "attempt").get("number")}


def _experiment(one: Any) -> Any:
    status = mapping(one, "status")
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", ())}
    counts = {name: number for name, number in _counts(one).items() if name != "cached"}
    said = {name: status.get(name) for name in ("results", "best", "report")}
    return {"conditions": conditions, "counts": counts, **said}


def _job_over(job: Any) -> bool:
    return bool(mapping(job, "status").get("conditions"))


def _pod_over(pod: Any) -> bool:
    return mapping(pod, "status").get("phase") in {"Succeeded", "Failed"}
