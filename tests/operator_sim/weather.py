"""The operator's way to the store, with everything that may happen on it: seeded, and off when the sky is clear."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from operator_sim.store import Event, Store, selected
from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import (
    AlreadyExists,
    ApiError,
    Expired,
    LostReply,
    Page,
    ServerError,
    TooManyRequests,
)
from xstilts_operator.cache import JOB_NAME_LABEL
from xstilts_operator.tolerant import mapping

PAGE_SIZE = 7
LATE_SECONDS = 10.0  # a request whose sender has given up may be done so much later
HANG_SECONDS = 35.0  # after which a silent connection is given up and the watch goes on where it was
# How often each of them strikes where it may: an exchange, a page, a conditional write, an event.
CHANCES: Mapping[str, float] = {
    "429 with Retry-After": 0.02,
    "500, not done": 0.015,
    "500, done": 0.015,
    "lost request": 0.01,
    "lost reply": 0.02,
    "lost reply, done later": 0.005,
    "410 of a list": 0.1,
    "409, another wrote": 0.03,
    "410 of a watch": 0.01,
    "silent watch": 0.005,
    "reordered event": 0.04,
    "duplicated event": 0.04,
    "stale event": 0.03,
}
# What follows from those, and what is done to processes: counted too.
CONSEQUENCES = ("409, exists", "missed delete", "clock skew", "kill", "two processes")


@dataclass
class Weather:
    """What goes wrong, and how often; nothing while `clear`.

    Attributes:
        seen: how often each fault has happened.
    """

    rng: random.Random
    clear: bool = True
    seen: dict[str, int] = field(default_factory=dict)

    def strikes(self, fault: str) -> bool:
        """Whether a fault happens now."""
        if self.clear or self.rng.random() >= CHANCES[fault]:
            return False
        self.count(fault)
        return True

    def count(self, fault: str) -> None:
        """A fault has happened."""
        self.seen[fault] = self.seen.get(fault, 0) + 1

    async def travel(self) -> None:
        """A message is under way."""
        await asyncio.sleep(0.005 if self.clear else self.rng.uniform(0.001, 0.08))


@dataclass(frozen=True)
class CrashPoint:
    """The process is killed at its n-th write to the API server (from 0), before it is done or before it is answered."""

    write: int
    when: Literal["before", "after"]


@dataclass
class FakeApi:
    """`Api` on a store. `crash` kills the process at a write; its callback must cancel whoever waits here."""

    store: Store
    weather: Weather
    crash: CrashPoint | None = None
    kill: Callable[[], None] = lambda: None
    writes: int = 0

    def __post_init__(self) -> None:
        self._tokens = count()
        self._rests: dict[str, tuple[int, list[Object]]] = {}

    async def create(self, resource: Resource, body: Object) -> Object:
        return await self._write(lambda: self.store.create(resource, body))

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._exchange(lambda: self.store.get(resource, namespace, name))

    async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
        def page() -> Page:
            if not rest:
                version, items = self.store.version, self.store.watched(resource)
            elif self.weather.strikes("410 of a list"):
                raise Expired("the provided continue parameter is too old")
            else:
                version, items = self._rests.pop(rest)
            items = [obj for obj in items if namespace in (None, obj["metadata"]["namespace"])]
            token = f"{next(self._tokens)}" if len(items) > PAGE_SIZE else ""
            if token:
                self._rests[token] = (version, items[PAGE_SIZE:])
            return Page(items[:PAGE_SIZE], str(version), token)

        return await self._exchange(page)

    async def pods_of_job(self, namespace: str, job: str) -> Sequence[Object]:
        def pods() -> list[Object]:
            found = self.store.watched(Resource.POD)
            return [
                pod
                for pod in found
                if pod["metadata"]["labels"].get(JOB_NAME_LABEL) == job
                and pod["metadata"]["namespace"] == namespace
            ]

        answer: list[Object] = await self._exchange(pods)
        return answer

    async def apply_status(self, target: Reference, status: Object, version: str | None) -> Object:
        def work() -> Object:
            self._interfere(target)
            where = (target.resource, target.namespace, target.name)
            return self.store.apply_status(*where, status, version=version)

        return await self._write(work)

    async def set_owners(self, target: Reference, owners: Sequence[Object], version: str) -> Object:
        def work() -> Object:
            self._interfere(target)
            where = (target.resource, target.namespace, target.name)
            return self.store.set_owners(*where, owners, uid=target.uid, version=version)

        return await self._write(work)

    async def delete(self, target: Reference, propagation: Literal["Foreground", "Background"]) -> Object:
        where = (target.resource, target.namespace, target.name)
        return await self._write(lambda: self.store.delete(*where, target.uid, propagation))

    async def apply_event(self, body: Object) -> None:
        await self._write(lambda: body)

    async def _write(self, work: Callable[[], Object]) -> Object:
        number = self.writes
        self.writes += 1

        def done() -> Object:
            if self.crash == CrashPoint(number, "before"):
                self.kill()
                raise LostReply("killed")
            result = work()
            if self.crash == CrashPoint(number, "after"):
                self.kill()
            return result

        return await self._exchange(done, late=True)

    async def _exchange(self, work: Callable[[], Any], *, late: bool = False) -> Any:
        """A request and its answer; `late`: it may be done when nobody waits for it any more."""
        await self.weather.travel()
        if self.weather.strikes("429 with Retry-After"):
            raise TooManyRequests("too many requests", self.weather.rng.choice((1.0, 5.0)))
        if self.weather.strikes("500, not done"):
            raise ServerError("etcdserver: request timed out")
        if self.weather.strikes("lost request"):
            await asyncio.sleep(self.weather.rng.uniform(0, 30))
            raise LostReply("connection reset")
        if late and self.weather.strikes("lost reply, done later"):
            asyncio.get_running_loop().call_later(self.weather.rng.uniform(0, LATE_SECONDS), _unheard, work)
            raise LostReply("connection reset")
        try:
            result = work()
        except AlreadyExists:
            self.weather.count("409, exists")
            raise
        if self.weather.strikes("500, done"):
            raise ServerError("etcdserver: leader changed")
        if self.weather.strikes("lost reply"):
            await asyncio.sleep(self.weather.rng.uniform(0, 30))
            raise LostReply("connection reset")
        await self.weather.travel()
        return result

    def _interfere(self, target: Reference) -> None:
        """Somebody else writes the object a moment earlier: a conditional write finds another version."""
        if self.weather.strikes("409, another wrote"):
            obj = self.store.find(target.resource, target.namespace, target.name)
            if obj is not None:
                annotations = {**mapping(obj, "metadata", "annotations"), "touched": str(self.store.version)}
                self.store.update(
                    target.resource, {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
                )


def _unheard(work: Callable[[], Any]) -> None:
    with suppress(ApiError):
        work()


Told = Callable[[Resource, str | None, Object], None]


@dataclass
class Watch:
    """Lists and watches one kind of object as kopf does: a watch that begins anew does not tell what was deleted."""

    store: Store
    weather: Weather
    resource: Resource
    told: Told

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.weather.travel()
            events: asyncio.Queue[Event] = asyncio.Queue()
            self.store.listeners.append(events.put_nowait)
            try:
                for obj in self.store.watched(self.resource):
                    self.told(self.resource, None, obj)
                await self._stream(events)
            finally:
                self.store.listeners.remove(events.put_nowait)
            known = self.store.version
            await asyncio.sleep(self.weather.rng.uniform(0.1, 60))  # what happens now is never told
            for event in self.store.since(known):
                if event.type == "DELETED" and event.resource is self.resource:
                    self.weather.count("missed delete")

    async def _stream(self, events: asyncio.Queue[Event]) -> None:
        """Until the server says that the version is too old."""
        while True:
            event = await events.get()
            if event.resource is not self.resource or not selected(self.resource, event.obj):
                continue
            await self.weather.travel()
            if self.weather.strikes("410 of a watch"):
                return
            if self.weather.strikes("silent watch"):
                await asyncio.sleep(HANG_SECONDS)
            if self.weather.strikes("reordered event"):
                self._tell_later(event)
                continue
            self._tell(event)
            if self.weather.strikes("duplicated event"):
                self._tell_later(event)
            if self.weather.strikes("stale event"):
                older = [
                    one
                    for one in self.store.log
                    if one.obj["metadata"]["uid"] == event.obj["metadata"]["uid"]
                ]
                stale = self.weather.rng.choice(older)
                if stale.type != "DELETED":
                    self._tell_later(stale)

    def _tell(self, event: Event) -> None:
        self.told(self.resource, event.type, event.obj)

    def _tell_later(self, event: Event) -> None:
        asyncio.get_running_loop().call_later(self.weather.rng.uniform(0, 30), self._tell, event)
