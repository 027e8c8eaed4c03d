"""The progress server put together, with what keeps it going: writes, certificates and their bundles."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

from xstilts_operator.actions import Resource
from xstilts_operator.api import ApiError, Caller
from xstilts_operator.cache import Cache
from xstilts_operator.progress.cluster import Bundles, read_published, write_progress
from xstilts_operator.progress.protocol import PORT
from xstilts_operator.progress.server import ProgressServer
from xstilts_operator.progress.tls import Certificates, host_of, load, server_context
from xstilts_operator.progress.tokens import Issuer
from xstilts_operator.progress.writes import Write, Writer

TICK_SECONDS: Final = 5.0  # between two looks at certificates and namespaces
CHECK_SECONDS: Final = 300.0  # between two looks at what others may have done to the bundles

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Who counts reports."""

    def progress_answered(self, code: int) -> None:
        """A report has been answered with an HTTP status."""

    def progress_written(self, outcome: str) -> None:
        """A report has been written, or was outdated by then, or has failed."""

    def progress_pending(self, pending: Callable[[], int]) -> None:
        """How many stages' reports wait to be written, at any time."""


@contextlib.asynccontextmanager
async def serve_progress(
    address: str,
    cache: Cache,
    api: Caller,
    observer: Observer,
    *,
    host: str | None = None,
    port: int = PORT,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[None]:
    """Serve reports while the context is open. A fault of it never reaches the operator's own work.

    Args:
        address: as pods reach the server; its certificate is made for this host.
        cache: what is known of stages and pods.
        api: the API server.
        observer: who counts.
        host: the address to listen on; None stands for all.
        port: to listen on.
        clock: the time of day, aware.

    Raises:
        ValueError: the address names no host.
        OSError: the port is taken.
    """
    certificates = Certificates([host_of(address)], clock())
    context = server_context()
    load(context, certificates.server)

    async def write(one: Write) -> None:
        await write_progress(api, cache, one, clock, observer.progress_written)

    async def keep_certificates() -> None:
        bundles, checked = Bundles(api), clock()
        while True:
            now = clock()
            if certificates.renew(now):
                load(context, certificates.server)
            if (now - checked).total_seconds() >= CHECK_SECONDS:
                bundles, checked = Bundles(api), now
            await _publish(bundles, certificates, cache, now)
            await asyncio.sleep(TICK_SECONDS)

    writer = Writer(write)
    observer.progress_pending(lambda: writer.pending)
    server = ProgressServer(
        Issuer(partial(read_published, api)), cache, writer, observer.progress_answered, now=clock
    )
    runner = await server.start(host, port, context)
    tasks = [asyncio.create_task(_keep_going(work)) for work in (writer.run, keep_certificates)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


async def _publish(bundles: Bundles, certificates: Certificates, cache: Cache, now: datetime) -> None:
    """Publish the bundle in every namespace with an experiment in which it is not yet."""
    own = certificates.authorities
    namespaces = {experiment["metadata"]["namespace"]: None for experiment in cache.list(Resource.EXPERIMENT)}
    for namespace in bundles.missing(namespaces, own):
        try:
            await bundles.publish(namespace, own, now)
        except ApiError as error:
            logger.warning("the progress server's certificates are not in %s yet: %s", namespace, error)


async def _keep_going(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # progress is best effort: it neither ends nor hides its own faults
            logger.exception("this is a fault of the progress server")
            await asyncio.sleep(TICK_SECONDS)
