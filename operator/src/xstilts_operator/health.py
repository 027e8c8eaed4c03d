"""What the kubelet asks: whether the operator is alive, and whether it is ready. Never whether the API server is."""

from __future__ import annotations

from typing import Final, Protocol

from aiohttp import web

from xstilts_operator.actions import Resource

PORT: Final = 8081
STALLED_SECONDS: Final = 180.0  # without any key begun or done; one request to the API server ends in 30 s
STUCK_SECONDS: Final = 900.0  # with one key: five thousand stages are made in far less


class Queue(Protocol):
    """The work queue."""

    def stalled(self) -> float:
        """For how many seconds no worker has begun or ended anything although keys wait."""

    def longest(self) -> float:
        """For how many seconds a worker has had one key."""


class Watches(Protocol):
    """How the watches fare."""

    def silent(self) -> tuple[Resource, ...]:
        """The watches that are dead although they look alive."""


class Event(Protocol):
    """What is set once it has happened."""

    def is_set(self) -> bool:
        """Whether it has."""


def trouble(queue: Queue, watches: Watches, working: Event) -> str:
    """Why the operator should be started anew; "" where it should not.

    While it is not `working` but waits for the Lease, keys wait too, and a new start would change nothing.
    """
    if working.is_set() and queue.stalled() > STALLED_SECONDS:
        return f"no worker has done anything for {queue.stalled():.0f} s although keys wait"
    if queue.longest() > STUCK_SECONDS:
        return f"a worker has had one key for {queue.longest():.0f} s"
    silent = watches.silent()
    if silent:
        return f"the watch of {', '.join(silent)} does not tell what a list has found"
    return ""


async def serve_health(
    queue: Queue,
    watches: Watches,
    ready: Event,
    working: Event,
    host: str | None = None,
    port: int = PORT,
) -> web.AppRunner:
    """Answer on /healthz and /readyz; the caller cleans the runner up at the end.

    Args:
        queue: the work queue.
        watches: how the watches fare.
        ready: set once the first full list has come in.
        working: set once it holds the Lease and its workers have begun.
        host: None is all addresses.
        port: where.

    Raises:
        OSError: the port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        why = trouble(queue, watches, working)
        return web.Response(text=why or "ok", status=503 if why else 200)

    async def readyz(_: web.Request) -> web.Response:
        said = "ok" if ready.is_set() else "the first full list has not come in yet"
        return web.Response(text=said, status=200 if ready.is_set() else 503)

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
