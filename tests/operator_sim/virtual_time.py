"""Event loops whose clock jumps to whatever is due next: hours pass in a moment.

In `VirtualLoop` work takes no time, so that everything always happens in the same order; in `BusyLoop` it takes what it
takes, and only waiting is skipped.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

Value = TypeVar("Value")


class _Jumping(selectors.SelectSelector):
    """Instead of waiting for files, which nothing here reads, it lets the time pass that it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is due: everything waits for something that never comes")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on that clock; it begins at 0 seconds."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class BusyLoop(VirtualLoop):
    """A loop whose clock runs while there is work, and jumps over what would be waited for."""

    def __init__(self) -> None:
        self._begun = perf_counter()
        self._unbilled = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + perf_counter() - self._begun - self._unbilled

    @contextmanager
    def unbilled(self) -> Iterator[None]:
        """What is done within takes no time: it is other people's work."""
        begun = perf_counter()
        try:
            yield
        finally:
            self._unbilled += perf_counter() - begun


def run(work: Coroutine[Any, Any, Value], loop: VirtualLoop | None = None) -> Value:
    """Like asyncio.run, in virtual time or on the loop that is given."""
    loop = loop or VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
