"""What the kubelet hears: an operator that does nothing is started anew, one that waits for the Lease is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest

from controlplane.daemon import free_ports
from xstilts_operator.actions import Resource
from xstilts_operator.health import STALLED_SECONDS, STUCK_SECONDS, serve_health

pytestmark = pytest.mark.anyio


@dataclass
class State:
    """A queue and watches, as they are told to be."""

    waits: float = 0.0
    works: float = 0.0
    dead: tuple[Resource, ...] = ()

    def stalled(self) -> float:
        return self.waits

    def longest(self) -> float:
        return self.works

    def silent(self) -> tuple[Resource, ...]:
        return self.dead


LATE = STALLED_SECONDS + 1


@pytest.mark.parametrize(
    ("state", "begun", "path", "status"),
    [
        (State(), {"listed", "working"}, "healthz", 200),
        (State(waits=LATE), {"listed", "working"}, "healthz", 503),
        (State(waits=LATE), {"listed"}, "healthz", 200),
        (State(works=STUCK_SECONDS + 1), {"listed", "working"}, "healthz", 503),
        (State(dead=(Resource.JOB,)), {"listed", "working"}, "healthz", 503),
        (State(waits=LATE), {"listed"}, "readyz", 200),
        (State(), set(), "readyz", 503),
    ],
)
async def test_it_answers(state: State, begun: set[str], path: str, status: int) -> None:
    listed, working = asyncio.Event(), asyncio.Event()
    for event, name in ((listed, "listed"), (working, "working")):
        if name in begun:
            event.set()
    (port,) = free_ports(1)
    runner = await serve_health(state, state, listed, working, host="127.0.0.1", port=port)
    try:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/{path}") as answer:
            assert answer.status == status
    finally:
        await runner.cleanup()
