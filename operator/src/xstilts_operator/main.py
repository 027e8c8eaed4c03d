"""The operator put together: parts made and joined, started, watched over, and ended in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import secrets
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from prometheus_client import CollectorRegistry

from xstilts.errors import UserError
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.claims import Claims
from xstilts_operator.client import ClusterApi
from xstilts_operator.controller import WORKERS, Controller, Watched
from xstilts_operator.decide import Decider
from xstilts_operator.events import Recorder
from xstilts_operator.health import PORT as HEALTH_PORT
from xstilts_operator.health import serve_health
from xstilts_operator.lease import Lease, LeaseLost
from xstilts_operator.metrics.endpoint import PORT as METRICS_PORT
from xstilts_operator.metrics.endpoint import serve_metrics
from xstilts_operator.metrics.instruments import AgeCollector, Instruments
from xstilts_operator.metrics.state import StateCollector
from xstilts_operator.observe import Observatory
from xstilts_operator.progress.protocol import PORT as PROGRESS_PORT
from xstilts_operator.progress.service import serve_progress
from xstilts_operator.routing import Key
from xstilts_operator.settings import DEFAULT_FILE, SETTINGS_VARIABLE, Settings
from xstilts_operator.watches import Watches
from xstilts_operator.watching import stop_on_signals, watch
from xstilts_operator.workqueue import WorkQueue

DRAIN_SECONDS: Final = 20.0
LEASE_VARIABLE: Final = "XSTILTS_LEASE"
LEASE: Final = "xstilts-operator"  # where the variable names none
# Containers made before Python looks for unreachable cycles among the youngest: a page of a list is some 100,000 of them,
# without a cycle. At its default of 700 the search took four fifths of the time in which JSON was read.
COLLECT_AFTER: Final = 200_000
_WATCHED: Final = (  # parents before children, so that a full list makes few decisions twice
    Resource.EXPERIMENT,
    Resource.CONFIG_MAP,
    Resource.STAGE,
    Resource.JOB,
    Resource.POD,
    Resource.SERVICE,
)

logger = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM; the exit code is 0 then, 64 for settings that are wrong, else 1."""
    gc.set_threshold(COLLECT_AFTER)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.load(Path(os.environ.get(SETTINGS_VARIABLE, DEFAULT_FILE)))
    except UserError as error:
        for problem in error.problems:
            logger.error("%s", problem)  # noqa: TRY400 - an error for people needs no traceback
        return error.exit_code
    return asyncio.run(operate(settings))


async def operate(settings: Settings) -> int:
    """Serve, wait for the Lease, list everything, then watch and decide, until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    stop_on_signals(stop)  # the first process of a container dies of no signal that it does not handle
    registry = CollectorRegistry()
    instruments = Instruments(registry)
    async with AsyncExitStack() as ending:
        api = ClusterApi(await _configuration(), instruments)
        ending.push_async_callback(api.close)
        cache, watches, queue = Cache(), Watches(), WorkQueue[Key](random.Random(), instruments)  # noqa: S311 - spreads retries
        refused: dict[Key, str] = {}
        recorder, claims = Recorder(api, _now, _identity()), Claims(api, cache, settings)
        lease = Lease(
            api,
            os.environ.get("POD_NAMESPACE", "default"),
            os.environ.get(LEASE_VARIABLE, LEASE),
            _identity(),
            _now,
        )
        controller = Controller(
            api=api,
            cache=cache,
            queue=queue,
            decide=Decider(Observatory(cache), settings, claims.of, refused),
            watched=_watched(settings),
            clock=_now,
            emit=recorder.emit,
            resync_seconds=settings.resync_seconds,
            watches=watches,
            observer=instruments,
            may_write=lease.holds,
            look=claims.look,
            refused=refused,
        )
        registry.register(StateCollector(cache))
        registry.register(AgeCollector(watches.ages, queue.oldest))
        for runner in (
            await serve_health(
                queue, watches, controller.synced, controller.working, port=_port("HEALTH", HEALTH_PORT)
            ),
            await serve_metrics(registry, port=_port("METRICS", METRICS_PORT)),
        ):
            ending.push_async_callback(runner.cleanup)
        if settings.progress.address is not None:
            await ending.enter_async_context(
                serve_progress(
                    settings.progress.address, cache, api, instruments, port=_port("PROGRESS", PROGRESS_PORT)
                )
            )
        return await _run(settings, controller, lease, recorder, stop)


async def _run(
    settings: Settings, controller: Controller, lease: Lease, recorder: Recorder, stop: asyncio.Event
) -> int:
    held = asyncio.Event()
    watching = partial(watch, controller.watched.resources, settings.namespaces, controller.event, stop)
    serving = _task(_serve(controller, recorder, watching, held))
    leading, stopping = _task(_lead(lease, held)), _task(stop.wait())
    await asyncio.wait({serving, leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    controller.drain()
    if stop.is_set() and controller.synced.is_set() and held.is_set():
        await asyncio.wait({serving}, timeout=DRAIN_SECONDS)
    stop.set()
    for task in (serving, leading, stopping):
        task.cancel()
    outcomes = await asyncio.gather(serving, leading, stopping, return_exceptions=True)
    failed = next((outcome for outcome in outcomes if isinstance(outcome, Exception)), None)
    if failed is not None:
        logger.error(
            "the operator ends: %s", failed, exc_info=None if isinstance(failed, LeaseLost) else failed
        )
        return 1
    await lease.release()
    return 0


async def _lead(lease: Lease, held: asyncio.Event) -> None:
    await lease.acquire()
    held.set()
    await lease.keep()


async def _serve(
    controller: Controller,
    recorder: Recorder,
    watching: Callable[[], Coroutine[Any, Any, None]],
    held: asyncio.Event,
) -> None:
    """List everything, wait for the Lease, then watch and decide until the controller is drained."""
    await controller.first_list()
    if not held.is_set():  # by the time that the Lease is ours, what was listed may be long ago
        await held.wait()
        await controller.first_list()
    logger.info(
        "the operator serves %s",
        ", ".join(filter(None, controller.watched.namespaces)) or "the whole cluster",
    )
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(one)
            for one in (watching(), controller.resync(), controller.relist(), recorder.run())
        ]
        await asyncio.wait([group.create_task(controller.work()) for _ in range(WORKERS)])
        for loop in loops:
            loop.cancel()


def _task(work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
    return asyncio.get_running_loop().create_task(work)


def _watched(settings: Settings) -> Watched:
    kinds = (*_WATCHED, Resource.WORKLOAD) if settings.kueue else _WATCHED
    return Watched(kinds, settings.namespaces or (None,))


async def _configuration() -> Configuration:
    """The service account of the pod, else the kubeconfig of a person."""
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # no types
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # no types
    return configuration


_PROCESS: Final = secrets.token_hex(4)


def _identity() -> str:
    """The pod's name, which a container that is started again in it keeps; elsewhere, this process."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{_PROCESS}"


def _port(what: str, default: int) -> int:
    return int(os.environ.get(f"XSTILTS_{what}_PORT", default))


def _now() -> datetime:
    return datetime.now(UTC)
