"""Events in, decisions out: what is seen goes to the cache, what it may alter to the queue, and workers decide.

Knows neither kopf nor a real API server, and takes the time from the event loop and from `clock`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final, Protocol

from xstilts_operator.actions import Decision, Emit, Object, Resource
from xstilts_operator.api import Api, ApiError, Expired, NotFound, Refused, TooManyRequests
from xstilts_operator.cache import Cache, Change, name_of, version_of
from xstilts_operator.gateway import Gateway, Overtaken, TooSoon
from xstilts_operator.names import EXPERIMENT_LABEL
from xstilts_operator.plans import PlanError
from xstilts_operator.routing import Key, visits
from xstilts_operator.tolerant import mapping, text
from xstilts_operator.watches import Watches
from xstilts_operator.workqueue import WorkQueue

WORKERS: Final = 32
RELIST_SECONDS: Final = 3.0  # after a watch has begun anew and its list has come in
FAILED_LIST_SECONDS: Final = 5.0
RESTARTS: Final = 5  # of one list whose continuation has expired

logger = logging.getLogger(__name__)


class Decide(Protocol):
    """Sees what the cache knows around a key, and decides: `observe` and `reconcile` together."""

    def __call__(self, key: Key, now: datetime) -> Decision:
        """The decision, which is empty where there is no such object."""


class Observer(Protocol):
    """Who counts decisions. Durations in seconds; `outcome` is done, overtaken, failed or broken."""

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """A key has been looked at and its decision carried out, or not."""

    def listed(self, kind: str, found: int) -> None:
        """A full list has come in, with so many things that no watch had told."""


@dataclass(frozen=True)
class Watched:
    """What is watched: the kinds of objects and the namespaces (None: all in one)."""

    resources: tuple[Resource, ...]
    namespaces: tuple[str | None, ...] = (None,)


@dataclass
class Controller:
    """The whole of the operator but its edges.

    Attributes:
        api, cache, queue, decide: its parts.
        emit: takes the Events that a decision wants.
        watched: what the full lists are made of.
        clock: the wall clock, aware.
        resync_seconds: between two full lists.
        watches: what is known of how the watches fare.
        may_write: asked before every write; where it says no, that fails and is tried again.
        look: before a decision about a key, reads what no watch tells of.
        refused: in whose words the API server has refused what the last decision about a key wanted; the next one says it.
        synced: set once the first full list has come in.
        working: set once a worker has begun, which waits for the Lease.
    """

    api: Api
    cache: Cache
    queue: WorkQueue[Key]
    decide: Decide
    watched: Watched
    clock: Callable[[], datetime]
    emit: Callable[[Emit], None]
    resync_seconds: float
    watches: Watches
    observer: Observer | None = None
    may_write: Callable[[], bool] = lambda: True
    look: Callable[[Key], Awaitable[None]] | None = None
    refused: dict[Key, str] = field(default_factory=dict)
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    working: asyncio.Event = field(default_factory=asyncio.Event)
    _relists: dict[Resource, asyncio.TimerHandle] = field(default_factory=dict)
    _wanted: asyncio.Queue[Resource] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.gateway = Gateway(self.api, self.cache, self.emit, self.changed, self.may_write)

    def event(self, resource: Resource, kind: str | None, obj: Object) -> None:
        """Take in what a watch tells: `kind` is ADDED, MODIFIED or DELETED; None in the list that it begins with."""
        self.watches.told(resource, text(mapping(obj, "metadata").get("namespace")))
        if kind == "DELETED":
            self.changed(self.cache.delete(resource, obj, version_of(obj)))
            return
        self.changed(self.cache.upsert(resource, obj))
        if kind is None:
            self._relist_soon(resource)

    def changed(self, change: Change | None) -> None:
        """Have everything looked at that a change may alter."""
        if change is None:
            return
        self._index(change)
        for key, after in visits(change, self.cache):
            if after:
                self.queue.add_after(key, after)
            else:
                self.queue.add(key)

    async def first_list(self) -> None:
        """List everything, however long that takes: nothing is decided before, so the order of the kinds is all one.

        Side by side: while one page is taken in here, the API server makes the next ones.
        """
        async with asyncio.TaskGroup() as group:
            for resource in self.watched.resources:
                group.create_task(self._first_list_of(resource))
        self.synced.set()

    async def work(self) -> None:
        """Take keys and decide about them, one after the other, until the queue is closed."""
        self.working.set()
        while (key := await self.queue.get()) is not None:
            begun = perf_counter()
            outcome = "broken"
            try:
                outcome = await self._visit(key)
            finally:
                self.queue.done(key)
                if self.observer:
                    self.observer.reconciled(key.resource.value, outcome, perf_counter() - begun)

    async def resync(self) -> None:
        """List everything again and again, and have everything looked at, urgent things first; until cancelled."""
        while True:
            await asyncio.sleep(self.resync_seconds)
            for resource in self.watched.resources:
                await self._list(resource)
            for resource in (Resource.EXPERIMENT, Resource.STAGE):
                for obj in self.cache.list(resource):
                    metadata = obj["metadata"]
                    self.queue.add(Key(resource, metadata["namespace"], metadata["name"]), background=True)

    async def relist(self) -> None:
        """List what a watch has begun anew: it does not tell what was deleted in between. Until cancelled."""
        while True:
            resource = await self._wanted.get()
            if not await self._list(resource):
                self._relist_soon(resource)

    def drain(self) -> None:
        """Begin nothing new; `work` returns when what is under way is done."""
        for timer in self._relists.values():
            timer.cancel()
        self.queue.close()

    async def _visit(self, key: Key) -> str:
        """Decide about a key once. Whatever its object does to us, the next key is not delayed by it."""
        try:
            if self.look is not None:
                await self.look(key)
            decision = self.decide(key, self.clock())
            await self.gateway.execute(decision.actions)
        except TooSoon as wait:
            self.queue.forget(key)
            self.queue.add_after(key, wait.seconds)
            return "done"
        except Overtaken:
            self.queue.retry(key)
            return "overtaken"
        except ApiError as error:
            at_least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
            seconds = self.queue.retry(key, at_least)
            logger.warning("%s %s/%s: %s; again in %.1f s", *key, error, seconds)
            told = self.refused.pop(key, None) is not None
            if isinstance(error, Refused) and not told:
                self.refused[key] = str(error)
            return "failed"
        except Exception:  # a fault of ours, or an object past all that was foreseen
            seconds = self.queue.retry(key)
            logger.exception("%s %s/%s: this is a fault of the operator; again in %.1f s", *key, seconds)
            return "broken"
        self.queue.forget(key)
        self.refused.pop(key, None)
        if decision.again_in is not None:
            self.queue.add_after(key, decision.again_in)
        return "done"

    async def _first_list_of(self, resource: Resource) -> None:
        while True:
            if await self._list(resource):
                break
            await asyncio.sleep(FAILED_LIST_SECONDS)

    async def _list(self, resource: Resource) -> bool:
        """Take in a full list; False where the API server gave none.

        A namespace that it refuses, as one that was deleted with its Role, keeps the others from nothing.
        """
        found: list[int] = []
        for namespace in self.watched.namespaces:
            try:
                found.append(await self._pages(resource, namespace))
            except ApiError as error:
                where = namespace or "the cluster"
                logger.warning("%s of %s could not be listed: %s", resource.value, where, error)
                if isinstance(error, NotFound) and resource is Resource.WORKLOAD:  # Kueue is not there
                    self.cache.unserved.add(resource)
                    return True
                if not isinstance(error, Refused):
                    return False
        if not found:
            return False
        self.cache.unserved.discard(resource)
        if self.observer:
            self.observer.listed(resource.value, sum(found))
        return True

    async def _pages(self, resource: Resource, namespace: str | None) -> int:
        """Take in a list page by page, and then what it left out; returns how much was new."""
        found = 0
        for _ in range(RESTARTS):
            listed: set[str] = set()
            try:
                page = await self.api.list(resource, namespace)
                while True:
                    listed.update(obj["metadata"]["uid"] for obj in page.items)
                    found += self._take(resource, page.items)
                    if not page.rest:
                        break
                    page = await self.api.list(resource, namespace, page.rest)
            except Expired:
                logger.info("the list of %s has expired under way and begins again", resource.value)
                continue
            gone = self.cache.sweep(resource, listed, page.version, namespace)
            for change in gone:
                self.changed(change)
            return found + len(gone)
        raise Expired(f"the list of {resource.value} expires again and again")

    def _take(self, resource: Resource, objects: Iterable[Object]) -> int:
        changes = [change for obj in objects if (change := self.cache.upsert(resource, obj)) is not None]
        if self.synced.is_set():
            self.watches.owe(resource, changes)
        for change in changes:
            self.changed(change)
        return len(changes)

    def _relist_soon(self, resource: Resource) -> None:
        timer = self._relists.pop(resource, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._relists[resource] = loop.call_later(RELIST_SECONDS, self._wanted.put_nowait, resource)

    def _index(self, change: Change) -> None:
        """Remember which stages an experiment needs, as soon as its plan is there and its status names it.

        Anybody may make a ConfigMap that says that it is a plan, of any size; only the operator writes the status.
        """
        experiment = _whose_plan(change, self.cache)
        name = _plan_of(experiment)
        if experiment is None or not name:
            return
        namespace, own_name = name_of(experiment)
        try:
            plan = self.cache.plan_of(namespace, name)
        except PlanError as error:  # the experiment's own decision says so to its user
            logger.warning("ConfigMap %s/%s: %s", namespace, name, error)
            return
        if plan is not None:
            self.cache.index_plan(experiment["metadata"]["uid"], namespace, own_name, plan.by_name)


def _whose_plan(change: Change, cache: Cache) -> Object | None:
    """The experiment whose status has come to name a plan, or whose plan has come; None where it is neither."""
    new = change.new
    if new is not None and change.resource is Resource.CONFIG_MAP:
        owner = text(mapping(new, "metadata", "labels").get(EXPERIMENT_LABEL))
        experiment = cache.get(Resource.EXPERIMENT, change.namespace, owner)
        return experiment if _plan_of(experiment) == change.name else None
    if new is None or change.resource is not Resource.EXPERIMENT:
        return None
    same = change.old is not None and change.old["metadata"]["uid"] == new["metadata"]["uid"]
    return None if same and _plan_of(change.old) == _plan_of(new) else new


def _plan_of(experiment: Object | None) -> str:
    return text(mapping(experiment, "status", "plan").get("name"))
