"""Stores that are volume claims of a real API server: which ones experiments can use, and what is said of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controlplane.api import Api
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, answering, manifest, summary
from controlplane.operating import CLAIM, make_claim, operating
from controlplane.player import playing

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

STORES = {
    "default": {"claim": CLAIM},
    "one-node": {"claim": "once"},
    "on-this-node": {"claim": "once", "sharing": "Node"},
    "one-pod": {"claim": "once-a-pod", "sharing": "Node"},
    "late": {"claim": "late"},
}


async def test_a_claim_that_pods_could_not_share_or_that_is_not_there_is_said_until_that_is_mended(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(make_claim, cluster, namespace, "once", "ReadWriteOnce")
    await asyncio.to_thread(make_claim, cluster, namespace, "once-a-pod", "ReadWriteOncePod")
    experiments = Experiments(api, namespace)
    async with (
        operating(cluster, namespace, tmp_path, settings={"stores": STORES}) as operator,
        playing(answering(api, namespace)),
    ):
        await experiments.submit(*(manifest(name, store={"name": name}) for name in STORES))
        refused = await experiments.says("one-node", "StoreNotShareable")
        assert "the volume claim 'once'" in summary(refused)["message"]
        assert "was ReadWriteOnce;" in summary(refused)["message"]
        refused = await experiments.says("one-pod", "StoreNotShareable")
        assert "was ReadWriteOncePod;" in summary(refused)["message"]
        missing = await experiments.says("late", "StoreUnavailable")
        assert "is not there" in summary(missing)["message"]
        assert {"StoreNotShareable"} <= set(await experiments.events("one-node"))
        for one in await experiments.ended("default", "on-this-node"):
            assert summary(one)["reason"] == "Completed"
        whose = {job["metadata"]["labels"]["xstilts.dev/experiment"] for job in await experiments.jobs()}
        assert not whose & {"one-node", "one-pod", "late"}

        await asyncio.to_thread(make_claim, cluster, namespace, "late")
        (late,) = await experiments.ended("late", within_s=120)
        assert summary(late)["reason"] == "Completed"
        assert "Traceback" not in operator.log
