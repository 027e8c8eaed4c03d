"""An API server that goes away under load, and connections to it that fall silent: the operator goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controlplane.api import Api, eventually
from controlplane.experiments import Experiments, answering, manifest, not_at_once, summary
from controlplane.operating import Operator, operating
from controlplane.plane import ControlPlane
from controlplane.player import playing
from controlplane.proxy import proxied
from controlplane.recording import Recording, recording

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

RECOVERY_SECONDS = 60


def grid(name: str) -> dict[str, object]:
    """12 stages."""
    return manifest(name, intermediates=("mnli",), targets=("xnli", "tatoeba"), seeds=(1, 2))


@asynccontextmanager
async def staying_alive(operator: Operator) -> AsyncIterator[None]:
    """The operator's process is the same at the end of the block, and all the while its liveness has been well."""
    assert operator.process is not None
    pid = operator.process.pid
    ill: list[float] = []

    async def ask() -> None:
        while True:
            if not await operator.answers("healthz"):
                ill.append(time.monotonic())
            await asyncio.sleep(0.5)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
    assert not ill
    assert operator.process.returncode is None, operator.log
    assert operator.process.pid == pid


async def another_job(seen: Recording) -> float:
    """The seconds until the next Job is made."""
    before, began = len(seen.jobs), time.monotonic()

    async def made() -> bool:
        return len(seen.jobs) > before

    await eventually(made, within_s=RECOVERY_SECONDS, every_s=0.1)
    return time.monotonic() - began


async def test_an_api_server_that_is_killed_under_load(
    control_plane: ControlPlane,
    api: Api,
    namespace: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    experiments, names = Experiments(api, namespace), ("first", "second", "third")
    async with (
        operating(control_plane, namespace, tmp_path) as operator,
        recording(api, namespace) as seen,
        playing(answering(api, namespace, seconds=1)),
    ):
        await experiments.submit(*map(grid, names))

        async def under_load() -> bool:
            return len(seen.jobs) >= 10

        await eventually(under_load, within_s=120)
        async with staying_alive(operator):
            await asyncio.to_thread(control_plane.restart_apiserver, kill=True, down_s=8)
            record_property("seconds to the next Job", await another_job(seen))
            ended = await experiments.ended(*names, within_s=120)
        assert {summary(one)["reason"] for one in ended} == {"Completed"}
        assert not not_at_once(await experiments.stages())
        assert not seen.twice
        assert not seen.overlaps


async def test_connections_that_fall_silent(
    control_plane: ControlPlane,
    api: Api,
    namespace: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """It is also ready no earlier than its first list has come in."""
    experiments = Experiments(api, namespace)
    async with (
        proxied(control_plane.kubeconfig, tmp_path) as proxy,
        recording(api, namespace) as seen,
        playing(answering(api, namespace, seconds=1)),
    ):
        operator = Operator(control_plane, namespace, tmp_path, kubeconfig=proxy.kubeconfig)
        proxy.silence()
        await operator.begin()
        try:
            await eventually(lambda: operator.answers("healthz"), within_s=60)
            await asyncio.sleep(1)
            assert not await operator.answers("readyz")
            proxy.recover()
            await eventually(lambda: operator.answers("readyz"), within_s=60)

            await experiments.submit(grid("before"))
            await experiments.until(
                "before", lambda one: one.get("status", {}).get("counts", {}).get("running")
            )
            async with staying_alive(operator):
                assert proxy.hang() > 0
                await experiments.submit(manifest("after"))
                record_property("seconds to the next Job", await another_job(seen))
                ended = await experiments.ended("before", "after", within_s=RECOVERY_SECONDS)
            assert {summary(one)["reason"] for one in ended} == {"Completed"}
            assert not not_at_once(await experiments.stages())
            assert not seen.twice
        finally:
            await operator.end()
