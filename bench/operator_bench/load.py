"""Submitting many objects, and seeing when each of them has come to a state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from bench.operator_bench.bodies import Object

from controlplane.api import Api

IN_FLIGHT: Final = 50
_POLL_SECONDS: Final = 0.05


@dataclass
class Tally:
    """When (monotonic seconds) each object of a collection was first seen in a state.

    path: the collection. met: whether an object is in the state. query: of the list and the watch.
    """

    api: Api
    path: str
    met: Callable[[Object], bool]
    query: dict[str, str] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    async def reach(self, count: int, *, within_s: float) -> float:
        """Wait until so many have been seen in the state; the moment of the last.

        Raises:
            TimeoutError: they were not in time.
        """
        end = time.monotonic() + within_s
        while len(self.seen) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.path}: {len(self.seen)} of {count} within {within_s:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)
        return max(self.seen.values())

    async def follow(self) -> None:
        """List and watch until cancelled."""
        while True:
            listed = await self.api.get(self.path, **self.query)
            for item in listed["items"]:
                self._note(item)
            version = listed["metadata"]["resourceVersion"]
            try:
                async for kind, item in self.api.watch(self.path, **self.query, resourceVersion=version):
                    if kind == "ERROR":
                        break
                    if kind != "DELETED":
                        self._note(item)
            except (TimeoutError, aiohttp.ClientError):  # the client ends every request after five minutes
                continue

    def _note(self, item: Object) -> None:
        name = item["metadata"]["name"]
        if name not in self.seen and self.met(item):
            self.seen[name] = time.monotonic()


@asynccontextmanager
async def following(*tallies: Tally) -> AsyncIterator[None]:
    """Let tallies follow beside the block; an error in one ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tally.follow()) for tally in tallies]
        yield
        for task in tasks:
            task.cancel()


async def submit(api: Api, path: str, bodies: Sequence[Object]) -> float:
    """POST all, so many in flight; the moment (monotonic seconds) at which it began."""
    begun, waiting = time.monotonic(), iter(bodies)

    async def work() -> None:
        for body in waiting:
            await api.create(path, body)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    return begun


def has_condition(item: Object, kind: str, *statuses: str) -> bool:
    """Whether an object has a condition of a type with one of these statuses (default: True)."""
    return any(
        one["type"] == kind and one["status"] in (statuses or ("True",))
        for one in item.get("status", {}).get("conditions") or ()
    )


def jobs_path(namespace: str) -> str:
    """The collection of Jobs."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def pods_path(namespace: str) -> str:
    """The collection of pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


def own_path(namespace: str, plural: str) -> str:
    """The collection of TransferExperiments or TransferStages."""
    return f"/apis/xstilts.dev/v1alpha1/namespaces/{namespace}/{plural}"
