"""The operator as the process that a pod of it would be."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import yaml
from bench.operator_bench.bodies import SETTINGS
from bench.operator_bench.stand import Stand
from prometheus_client.parser import text_string_to_metric_families

from controlplane.daemon import Daemon, free_ports
from controlplane.operating import variables

_READY_SECONDS: Final = 300.0
_QUIET_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.5


class Operator:
    """`python -m xstilts_operator` for one namespace; under cProfile where `profile` names a file for it."""

    def __init__(self, stand: Stand, namespace: str, profile: Path | None = None) -> None:
        self._health, self._metrics, progress = free_ports(3)
        settings = stand.folder / f"{namespace}.yaml"
        settings.write_text(yaml.safe_dump({**SETTINGS, "namespaces": [namespace]}), encoding="utf-8")
        environment = variables(
            kubeconfig=stand.plane.kubeconfig,
            settings=settings,
            lease=namespace,
            health=self._health,
            metrics=self._metrics,
            progress=progress,
        )
        profiled = ["-m", "cProfile", "-o", str(profile)] if profile else []
        self.daemon = Daemon(
            [
                "/usr/bin/env",
                *(f"{name}={value}" for name, value in environment.items()),
                sys.executable,
                *profiled,
                "-m",
                "xstilts_operator",
            ],
            log=stand.folder / f"{namespace}.log",
            name="operator",
        )

    async def start(self) -> float:
        """Start it and wait until it is ready; the moment (monotonic seconds) at which it was started."""
        begun = time.monotonic()
        self.daemon.start()
        async with aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if not self.daemon.running or time.monotonic() > begun + _READY_SECONDS:
                    raise self.daemon.failure("is not ready")
                await asyncio.sleep(0.1)
        return begun

    async def idle(self, *, within_s: float) -> float:
        """Wait until it has had nothing to do for some seconds; the moment from when on.

        Raises:
            TimeoutError: it was busy for so long.
        """
        end, since = time.monotonic() + within_s, None
        while True:
            now = time.monotonic()
            busy = await self._oldest() > 0
            since = None if busy else since or now
            if since is not None and now - since > _QUIET_SECONDS:
                return since
            if now > end:
                raise TimeoutError(f"the operator was not idle within {within_s:.0f} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def requests(self) -> Counter[tuple[str, str]]:
        """How many requests it has sent to the API server, by verb and resource."""
        counted: Counter[tuple[str, str]] = Counter()
        for name, labels, value in await self._samples():
            if name == "xstilts_api_requests_total":
                counted[labels["verb"], labels["resource"]] += int(value)
        return counted

    async def _oldest(self) -> float:
        """For how many seconds its oldest key has been in the queue."""
        return next(
            value
            for name, _, value in await self._samples()
            if name == "xstilts_workqueue_oldest_key_seconds"
        )

    async def _samples(self) -> list[tuple[str, dict[str, str], float]]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self._metrics}/metrics") as response,
        ):
            families = text_string_to_metric_families(await response.text())
            return [
                (sample.name, sample.labels, sample.value) for family in families for sample in family.samples
            ]

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{self._health}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running(stand: Stand, namespace: str, profile: Path | None = None) -> AsyncIterator[Operator]:
    """An operator that is ready; it is stopped at the end."""
    operator = Operator(stand, namespace, profile)
    await operator.start()
    try:
        yield operator
    finally:
        await asyncio.to_thread(operator.daemon.stop, grace=60)
