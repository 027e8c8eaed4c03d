"""More than one operator process: with a Lease one works and the others wait; without, both work and nothing is done twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.api import Api, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, answering, manifest, not_at_once, summary
from controlplane.operating import Operator, operating
from controlplane.player import playing
from controlplane.recording import Recording, recording

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

Record = Callable[[str, object], None]


def grid(name: str, model: str) -> dict[str, object]:
    """12 stages, the same for the same model."""
    return manifest(name, model, intermediates=("mnli",), targets=("xnli", "tatoeba"), seeds=(1, 2))


async def jobs_made(seen: Recording, number: int) -> None:
    """Wait until so many Jobs have been made."""

    async def made() -> bool:
        return len(seen.jobs) >= number

    await eventually(made, within_s=120)


async def holder(api: Api, namespace: str) -> str:
    """Who holds the operator's Lease."""
    lease = await api.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/xstilts-operator")
    return str(lease["spec"].get("holderIdentity") or "")


async def test_two_that_know_nothing_of_each_other_do_no_harm_and_one_is_drained(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, record_property: Record
) -> None:
    """Each with a Lease of its own; two of the experiments need the same stages, and come at the same moment."""
    experiments, names = Experiments(api, namespace), ("first", "same", "other")
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    async with (
        operating(cluster, namespace, folders[0], name="one", lease=namespace) as one,
        operating(cluster, namespace, folders[1], name="two", lease="default") as two,
        recording(api, namespace) as seen,
        playing(answering(api, namespace)),
    ):
        await asyncio.gather(
            *(
                experiments.submit(grid(name, model))
                for name, model in zip(names, ("shared", "shared", "other"), strict=True)
            )
        )
        await jobs_made(seen, 8)
        assert await holder(api, namespace) == "one"
        began = time.monotonic()
        assert await one.stop(signal.SIGTERM) == 0
        record_property("seconds to drain", time.monotonic() - began)
        assert not await holder(api, namespace)
        ended = await experiments.ended(*names, within_s=120)
        assert {summary(obj)["reason"] for obj in ended} == {"Completed"}
        assert not not_at_once(await experiments.stages())
        assert not seen.twice
        assert not seen.overlaps
        assert await two.stop(signal.SIGTERM) == 0
        for operator in (one, two):
            assert "Traceback" not in operator.log, operator.log


async def test_a_holder_that_is_paused_past_its_lease_ends_when_it_goes_on(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, record_property: Record
) -> None:
    experiments = Experiments(api, namespace)
    folders = [tmp_path / name for name in ("paused", "next", "third")]
    for folder in folders:
        folder.mkdir()
    async with (
        operating(cluster, namespace, folders[0], name="paused") as paused,
        operating(cluster, namespace, folders[1], name="next") as following,
        recording(api, namespace) as seen,
        playing(answering(api, namespace)),
    ):
        await experiments.submit(grid("first", "first"), grid("second", "second"))
        await jobs_made(seen, 8)
        assert await holder(api, namespace) == "paused"
        paused.send(signal.SIGSTOP)
        began = time.monotonic()

        async def taken() -> bool:
            return await holder(api, namespace) == "next"

        await eventually(taken, within_s=60)
        record_property("seconds until the Lease is taken", time.monotonic() - began)
        await jobs_made(seen, len(seen.jobs) + 2)
        paused.send(signal.SIGCONT)
        assert paused.process is not None
        assert await asyncio.wait_for(paused.process.wait(), 30) == 1
        assert "another operator holds the Lease" in paused.log
        ended = await experiments.ended("first", "second", within_s=120)
        assert {summary(one)["reason"] for one in ended} == {"Completed"}
        assert not not_at_once(await experiments.stages())
        assert not seen.twice
        assert not seen.overlaps

        waiting = Operator(cluster, namespace, folders[2], name="third")
        await waiting.start()
        assert await asyncio.wait_for(waiting.stop(signal.SIGTERM), 10) == 0
        assert await holder(api, namespace) == "next"
        assert await following.stop(signal.SIGTERM) == 0
