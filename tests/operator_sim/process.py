"""One process of the operator: the real controller and all that it is made of, on the fake API, until it is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from operator_sim.store import Store
from operator_sim.weather import CrashPoint, FakeApi, Watch, Weather
from xstilts_operator.actions import Decision, Object, Resource
from xstilts_operator.cache import Cache
from xstilts_operator.controller import Controller, Watched
from xstilts_operator.decide import Decider
from xstilts_operator.events import Recorder
from xstilts_operator.observe import Observatory
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings
from xstilts_operator.watches import Watches
from xstilts_operator.workqueue import WorkQueue

RESYNC_SECONDS = 60
WORKERS = 8
WATCHED = (
    Resource.EXPERIMENT,
    Resource.CONFIG_MAP,
    Resource.STAGE,
    Resource.JOB,
    Resource.POD,
    Resource.SERVICE,
)
SETTINGS = Settings.parse(
    {
        "images": {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"},
        "stores": {"default": {"claim": "experiments"}},
        "resyncSeconds": RESYNC_SECONDS,
    }
)


class Process:
    """A process whose clock is `skew` from the server's.

    Attributes:
        alive: from its start until it is killed.
        spins: decisions that wanted to be made again in no time, for people: they would leave no time for others.
    """

    def __init__(
        self,
        store: Store,
        weather: Weather,
        rng: random.Random,
        skew: timedelta = timedelta(),
        crash: CrashPoint | None = None,
        on_crash: Callable[[], None] = lambda: None,
    ) -> None:
        self.alive = False
        self.spins: list[str] = []
        self._on_crash = on_crash
        self._tasks: list[asyncio.Task[None]] = []
        self._store, self._weather = store, weather
        cache = Cache()
        self._decider = Decider(Observatory(cache), SETTINGS)

        def clock() -> datetime:
            return store.clock() + skew

        self.api = FakeApi(store, weather, crash, self._crash)
        self._recorder = Recorder(self.api, clock)
        self.controller = Controller(
            api=self.api,
            cache=cache,
            queue=WorkQueue[Key](rng),
            decide=self._decide,
            watched=Watched(WATCHED),
            clock=clock,
            emit=self._recorder.emit,
            resync_seconds=RESYNC_SECONDS,
            watches=Watches(),
        )

    def start(self) -> None:
        self.alive = True
        self._spawn(self._run())

    def kill(self) -> None:
        """At once: nothing that it waits for is ever answered."""
        if self.alive:
            self.alive = False
            self.controller.drain()
            for task in self._tasks:
                task.cancel()

    async def _run(self) -> None:
        await self.controller.first_list()
        for resource in WATCHED:
            self._spawn(Watch(self._store, self._weather, resource, self._told).run())
        for _ in range(WORKERS):
            self._spawn(self.controller.work())
        for work in (self.controller.resync(), self.controller.relist(), self._recorder.run()):
            self._spawn(work)

    def _decide(self, key: Key, now: datetime) -> Decision:
        decision = self._decider(key, now)
        if decision.again_in is not None and decision.again_in <= 0:
            self.spins.append(f"{key} is to be looked at again at once")
            raise ValueError(self.spins[-1])  # so that time goes on
        return decision

    def _told(self, resource: Resource, kind: str | None, obj: Object) -> None:
        if self.alive:
            self.controller.event(resource, kind, obj)

    def _crash(self) -> None:
        self.kill()
        self._on_crash()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))
