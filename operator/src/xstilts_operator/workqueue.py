"""The keys that are to be looked at: each once however often it was added, never by two workers at once.

As client-go's: a key that is added while a worker has it comes again when the worker is done with it; one that failed
comes again after a time that doubles. Time is the event loop's.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, Protocol, TypeVar

BACKOFF_SECONDS: Final = 0.2
BACKOFF_CAP_SECONDS: Final = 30.0  # so long after an outage, at most, every key is looked at again

Key = TypeVar("Key", bound=Hashable)


class Observer(Protocol):
    """Who counts what happens to the queue. Durations in seconds."""

    def added(self, depth: int) -> None:
        """A key has come; so many are waiting."""

    def started(self, waited: float, depth: int) -> None:
        """A worker has taken a key that had waited so long."""

    def finished(self, worked: float) -> None:
        """A worker is done with a key."""

    def retried(self) -> None:
        """A key has failed and will come again."""


class WorkQueue(Generic[Key]):
    """Keys in two lanes: those that something has happened to, and behind them those that are looked at anyway.

    `rng` spreads the retries of keys that failed together.
    """

    def __init__(self, rng: random.Random, observer: Observer | None = None) -> None:
        self._rng = rng
        self._observer = observer
        self._urgent: deque[Key] = deque()
        self._background: deque[Key] = deque()
        self._waiting: dict[Key, float] = {}  # key -> since when
        self._patient: set[Key] = set()  # of those, the ones in the background lane
        self._taken: dict[Key, float] = {}
        self._again: dict[Key, bool] = {}  # added while taken -> in the background lane
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._moved = 0.0  # when a worker last began or ended anything
        self._closed = False

    def __len__(self) -> int:
        """How many keys are waiting for a worker now."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Nothing waits for a worker and no worker has anything; timers may be running."""
        return not self._waiting and not self._taken

    def oldest(self) -> float:
        """For how many seconds the key that has been here longest has waited or been worked on; 0 when idle."""
        begun = min([*self._waiting.values(), *self._taken.values()], default=None)
        return 0.0 if begun is None else self._now() - begun

    def longest(self) -> float:
        """For how many seconds a worker has had one key; 0 where none has any."""
        begun = min(self._taken.values(), default=None)
        return 0.0 if begun is None else self._now() - begun

    def stalled(self) -> float:
        """For how many seconds no worker has begun or ended anything although keys wait; 0 where none waits."""
        begun = min(self._waiting.values(), default=None)
        return 0.0 if begun is None else self._now() - max(begun, self._moved)

    def add(self, key: Key, *, background: bool = False) -> None:
        """Have a key looked at as soon as a worker is free; `background`: when nothing urgent waits."""
        if self._closed:
            return
        if key in self._taken:
            self._again[key] = background and self._again.get(key, True)
            return
        self._cancel_timer(key)
        if key not in self._waiting:
            self._waiting[key] = self._now()
            if self._observer:
                self._observer.added(len(self))
            self._wake()
        elif background or key not in self._patient:
            return
        if background:
            self._patient.add(key)
            self._background.append(key)
        else:
            self._patient.discard(key)  # its place in the background lane is skipped when it comes up
            self._urgent.append(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Have a key looked at in so many seconds, or earlier if it was to come earlier."""
        if self._closed or key in self._waiting:
            return
        due = self._now() + max(0.0, seconds)
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._due, key)

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Have a key that failed looked at again, later at every failure in a row; returns in how many seconds.

        What has happened to it while the worker had it is seen then, and not at once.
        """
        self._again.pop(key, None)
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2.0 ** min(failures - 1, 16))
        seconds = max(at_least, ceiling * self._rng.uniform(0.5, 1.0))
        self.add_after(key, seconds)
        if self._observer:
            self._observer.retried()
        return seconds

    def forget(self, key: Key) -> None:
        """A key has not failed: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> Key | None:
        """The next key, now this worker's until `done`; None once the queue is closed."""
        while not self._closed:
            key = self._next()
            if key is not None:
                return key
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake()  # it had been woken for a key: another worker shall have it
                raise
        return None

    def done(self, key: Key) -> None:
        """The worker is done with a key."""
        begun, self._moved = self._taken.pop(key), self._now()
        if self._observer:
            self._observer.finished(self._moved - begun)
        background = self._again.pop(key, None)
        if background is not None:
            self.add(key, background=background)

    def close(self) -> None:
        """Give out no more keys and take in none: workers end when they are done with what they have."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        while self._getters:
            self._wake()

    def _next(self) -> Key | None:
        for lane in (self._urgent, self._background):
            while lane:
                key = lane.popleft()
                since = self._waiting.pop(key, None)
                if since is None:  # it was in both lanes
                    continue
                self._patient.discard(key)
                self._taken[key] = self._moved = self._now()
                if self._observer:
                    self._observer.started(self._now() - since, len(self))
                return key
        return None

    def _due(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
