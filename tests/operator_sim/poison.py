"""A hundred small experiments, one of them full of garbage that is written anew all the time: who waits for it?

The operator's own work takes the time that it takes; waiting is skipped, and the API server's and people's work is free.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from operator_sim.cluster import Cluster, End
from operator_sim.people import NAMESPACE, experiment, source
from operator_sim.process import Process
from operator_sim.store import Event, Store
from operator_sim.virtual_time import BusyLoop, run
from operator_sim.weather import Weather
from xstilts_operator.actions import Resource
from xstilts_operator.names import STAGE_LABEL
from xstilts_operator.tolerant import mapping, mappings

START = datetime(2026, 1, 1, tzinfo=UTC)
EXPERIMENTS = 100
ARRIVE_WITHIN = 120.0  # seconds
SCRIBBLES_EVERY = 0.5
ENDS_BY = 3600.0
POISONED = "poisoned"
FIELDS = (
    "state", "reason", "message", "attempt", "failures", "resumes", "stalledResumes", "retryAfter", "cached", "scores",
    "outputsDigest", "completedAt", "usage", "lastFailure", "conditions", "plan", "lookup", "counts",
    "startTime", "completionTime", "activeSeconds", "activeSince", "observedGeneration", "report", "results", "best",
    "gpuHours",
)  # fmt: skip
STATES = ("Pending", "Active", "Waiting", "Succeeded", "Failed", "Blue", 7)


@dataclass
class Observed:
    """What a run has shown of the experiments that are not poisoned.

    Attributes:
        seconds: from an event (an experiment came, a stage's Job ended) to the status that tells it.
        scribbles: how often garbage was written.
        ended: how many of the experiments have succeeded.
    """

    seconds: list[float] = field(default_factory=list)
    scribbles: int = 0
    ended: int = 0

    def quantile(self, percent: int) -> float:
        """The nearest rank of the seconds."""
        return sorted(self.seconds)[max(0, -(-len(self.seconds) * percent // 100) - 1)]


def observed(*, poisoned: bool) -> Observed:
    """Run a hundred experiments to their ends; one of them poisoned, or left out."""
    loop = BusyLoop()
    return run(_run(loop, poisoned=poisoned), loop)


async def _run(loop: BusyLoop, *, poisoned: bool) -> Observed:
    store = Store(lambda: START + timedelta(seconds=loop.time()))
    rng = random.Random(0)  # noqa: S311 - it must be the same again
    names = [f"grid-{number}" for number in range(1, EXPERIMENTS)]
    found = Observed()
    store.listeners.append(_Stopwatch(found, loop.time).see)
    Cluster(store, rng, store.clock, lambda *_: End(), set())
    process = Process(store, Weather(rng), random.Random(1))  # noqa: S311 - as above
    process.start()
    for name in [*names, *([POISONED] if poisoned else [])]:
        loop.call_later(rng.uniform(0, ARRIVE_WITHIN), store.create, Resource.EXPERIMENT, _small(name))
    scribbling = loop.create_task(_scribble(store, loop, random.Random(2), found))  # noqa: S311 - as above
    while found.ended < len(names) and loop.time() < ENDS_BY:
        await asyncio.sleep(10)
        found.ended = sum(
            _has_succeeded(one)
            for one in store.all(Resource.EXPERIMENT)
            if one["metadata"]["name"] != POISONED
        )
    scribbling.cancel()
    process.kill()
    return found


def _small(name: str) -> Any:
    """One stage that is its own: a model of its own, tested on a task that trains nothing."""
    model = {"name": "model", "pretrained": source(name), "family": "E5"}
    targets = [{"task": "tatoeba"}]
    return experiment(name, models=[model], intermediates=[], targets=targets, seeds=[1])


class _Stopwatch:
    """Listens to the API server."""

    def __init__(self, found: Observed, time: Callable[[], float]) -> None:
        self._found, self._time = found, time
        self._since: dict[tuple[Resource, str], float] = {}

    def see(self, event: Event) -> None:
        name, status = event.obj["metadata"]["name"], mapping(event.obj, "status")
        if event.resource is Resource.EXPERIMENT and name != POISONED:
            if event.type == "ADDED":
                self._since[event.resource, name] = self._time()
            elif status:
                self._tell(event.resource, name)
        elif event.resource is Resource.JOB and status.get("conditions"):
            stage = mapping(event.obj, "metadata", "labels").get(STAGE_LABEL)
            if stage:
                self._since.setdefault((Resource.STAGE, stage), self._time())
        elif event.resource is Resource.STAGE and status.get("state") == "Succeeded":
            owner = event.obj["metadata"]["ownerReferences"][0]["name"]
            if owner != POISONED:
                self._tell(event.resource, name)

    def _tell(self, resource: Resource, name: str) -> None:
        since = self._since.pop((resource, name), None)
        if since is not None:
            self._found.seconds.append(self._time() - since)


async def _scribble(store: Store, loop: BusyLoop, rng: random.Random, found: Observed) -> None:
    """Somebody writes garbage into whatever belongs to the poisoned experiment, again and again."""
    while True:
        await asyncio.sleep(SCRIBBLES_EVERY)
        with loop.unbilled():
            victim = _victim(store, rng)
            garbled = _garbled(*victim, rng) if victim else None
        if victim and garbled:
            store.scribble(victim[0], garbled)
            found.scribbles += 1


def _victim(store: Store, rng: random.Random) -> tuple[Resource, Any] | None:
    own = store.find(Resource.EXPERIMENT, NAMESPACE, POISONED)
    if own is None:
        return None
    uid = own["metadata"]["uid"]
    stages = [one for one in store.all(Resource.STAGE) if _owner(one) == uid]
    below = {uid, *(one["metadata"]["uid"] for one in stages)}
    others = [
        (resource, one)
        for resource in (Resource.CONFIG_MAP, Resource.JOB, Resource.POD)
        for one in store.all(resource)
        if _owner(one) in below or one["metadata"]["labels"].get(STAGE_LABEL) in _names(stages)
    ]
    return rng.choice([(Resource.EXPERIMENT, own)] * 3 + [(Resource.STAGE, one) for one in stages] + others)


def _garbled(resource: Resource, obj: Any, rng: random.Random) -> Any:
    """The object with garbage where nothing but a schema, or nobody, would keep it out."""
    annotations = {f"xstilts.dev/{rng.random()}": "ä\n{[" * rng.choice((1, 50_000)) for _ in range(3)}
    garbled = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
    match resource:
        case Resource.EXPERIMENT | Resource.STAGE:
            return garbled | {"status": _status(rng)}
        case Resource.CONFIG_MAP:
            return garbled | {"binaryData": {"plan.json.gz": _json(rng, 2)}}
        case Resource.POD if obj["status"]["phase"] == "Succeeded":
            ended = obj["status"]["containerStatuses"][0]
            said = {
                **ended["state"]["terminated"],
                "message": rng.choice(("", "{", "[" * 4096, '{"key": 1}')),
            }
            status = {**obj["status"], "containerStatuses": [{**ended, "state": {"terminated": said}}]}
            return garbled | {"metadata": obj["metadata"], "status": status}
        case Resource.JOB if mapping(obj, "status").get("conditions"):
            return garbled | {
                "status": {**obj["status"], "startTime": _json(rng, 2), "conditions": _json(rng, 3)}
            }
        case _:
            return None


def _status(rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return _json(rng, 3)
    said = {name: _json(rng, 3) for name in rng.sample(FIELDS, rng.randrange(1, len(FIELDS)))}
    said["progress"] = {"percent": _json(rng, 0), "estimatedRemainingSeconds": _json(rng, 0)}
    if rng.random() < 0.7:
        said |= {
            "state": rng.choice(STATES),
            "attempt": {"number": rng.choice((1, 2, 10**9, -1)), **_some(rng)},
        }
    return said


def _some(rng: random.Random) -> dict[str, Any]:
    return {name: _json(rng, 2) for name in ("placement", "gpus", "startedAt", "experimentUID")}


def _json(rng: random.Random, depth: int) -> Any:
    """Anything that JSON can say: of all types, empty, long, and deep."""
    kind = rng.randrange(12 if depth else 8)
    leaves = (None, True, -1, 2**80, "", "2026-02-30T25:61:61Z", "x" * rng.choice((1, 300_000)), 1.5)
    if kind < len(leaves):
        return leaves[kind]
    if kind == 8:
        return [_json(rng, depth - 1) for _ in range(rng.choice((0, 3)))]
    if kind == 9:
        return {f"{number}": _json(rng, depth - 1) for number in range(rng.choice((0, 3)))}
    if kind == 10:
        return [{"type": f"T{number}", "status": "True", "gpuSeconds": number} for number in range(5_000)]
    deep: Any = "deep"
    for _ in range(300):
        deep = {"deeper": [deep]}
    return deep


def _owner(obj: Any) -> str:
    return next((one["uid"] for one in mappings(obj["metadata"].get("ownerReferences"))), "")


def _names(stages: list[Any]) -> set[str]:
    return {one["metadata"]["name"] for one in stages}


def _has_succeeded(one: Mapping[str, Any]) -> bool:
    conditions = mappings(mapping(one, "status").get("conditions"))
    return any(each.get("type") == "Succeeded" and each.get("status") == "True" for each in conditions)
