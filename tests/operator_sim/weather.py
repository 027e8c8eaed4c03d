"""The operator's way to the store, with everything that may happen on it: seeded, and off when the sky is clear."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from operator_sim.store import Event, Store, selected
from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import Expired, LostReply, Page, ServerError, TooManyRequests
from xstilts_operator.cache import JOB_NAME_LABEL
from xstilts_operator.tolerant import mapping

PAGE_SIZE = 7
HANG_SECONDS = 35.0  # after which a silent connection is given up and the watch goes on where it was


@dataclass
class Weather:
    """What goes wrong, and how often; nothing while `clear`."""

    rng: random.Random
    clear: bool = True
    seen: dict[str, int] = field(default_factory=dict)

    def strikes(self, fault: str, chance: float) -> bool:
        """Whether a fault happens now."""
        if self.clear or self.rng.random() >= chance:
            return False
        self.seen[fault] = self.seen.get(fault, 0) + 1
        return True

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
            elif self.weather.strikes("410 of a list", 0.1):
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
            return self.store.apply_status(*where, status, uid=target.uid, version=version)

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
        await self._exchange(lambda: body)

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

        return await self._exchange(done)

    async def _exchange(self, work: Callable[[], Any]) -> Any:
        await self.weather.travel()
        if self.weather.strikes("429", 0.02):
            raise TooManyRequests("too many requests", self.weather.rng.choice((1.0, 5.0)))
        if self.weather.strikes("500, not done", 0.015):
            raise ServerError("etcdserver: request timed out")
        if self.weather.strikes("lost request", 0.01):
            await asyncio.sleep(self.weather.rng.uniform(0, 30))
            raise LostReply("connection reset")
        result = work()
        if self.weather.strikes("500, done", 0.015):
            raise ServerError("etcdserver: leader changed")
        if self.weather.strikes("lost reply", 0.02):
            await asyncio.sleep(self.weather.rng.uniform(0, 30))
            raise LostReply("connection reset")
        await self.weather.travel()
        return result

    def _interfere(self, target: Reference) -> None:
        """Somebody else writes the object a moment earlier: a conditional write finds another version."""
        if self.weather.strikes("409", 0.03):
            obj = self.store.find(target.resource, target.namespace, target.name)
            if obj is not None:
                annotations = {**mapping(obj, "metadata", "annotations"), "touched": str(self.store.version)}
                self.store.update(
                    target.resource, {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
                )


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
            await asyncio.sleep(self.weather.rng.uniform(0.1, 60))  # what happens now is never told

    async def _stream(self, events: asyncio.Queue[Event]) -> None:
        """Until the server says that the version is too old."""
        while True:
            event = await events.get()
            if event.resource is not self.resource or not selected(self.resource, event.obj):
                continue
            await self.weather.travel()
            if self.weather.strikes("410 of a watch", 0.01):
                return
            if self.weather.strikes("silent watch", 0.005):
                await asyncio.sleep(HANG_SECONDS)
            if self.weather.strikes("reordered event", 0.04):
                self._tell_later(event)
                continue
            self._tell(event)
            if self.weather.strikes("duplicated event", 0.04):
                self._tell_later(event)
            if self.weather.strikes("stale event", 0.03):
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
