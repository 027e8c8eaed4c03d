"""How attempts end on real Jobs: by exit code, by eviction, and on several nodes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import Api, Object, connect, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, Labels, answering, manifest, summary
from controlplane.operating import operating
from controlplane.player import RUNS_ON, Outcome, playing
from controlplane.recording import recording

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

# experiment -> how the attempts of its training end, the last one for all that follow
ENDINGS = {
    "invalid": (Outcome(64),),
    "flaky": (Outcome(1), Outcome(1), Outcome()),
    "broken": (Outcome(1),),
    "interrupted": (Outcome(42), Outcome(42), Outcome()),
    "stalled": (Outcome(42),),
    "evicted": (Outcome(evicted=True), Outcome()),
    "drained": (RUNS_ON, Outcome()),
    "wide": (RUNS_ON, Outcome()),
}


async def special(labels: Labels) -> Outcome | None:
    if labels["xstilts.dev/kind"] != "train":
        return None
    endings = ENDINGS[labels["xstilts.dev/experiment"]]
    return endings[min(int(labels["xstilts.dev/attempt"]), len(endings)) - 1]


async def evict(api: Api, pod: Object) -> None:
    """What draining a node does."""
    metadata = {name: pod["metadata"][name] for name in ("name", "namespace")}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    await api.create(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction", body)


async def test_attempts(cluster: Cluster, api: Api, namespace: str, tmp_path: Path) -> None:
    experiments = Experiments(api, namespace)

    async def outcome(name: str) -> tuple[Any, ...]:
        """State, attempts, counted failures and resumes of its training; the reason of its summary."""
        (ended,) = await experiments.ended(name, within_s=90)
        status = (await experiments.stage(name))["status"]
        numbers = (status["attempt"]["number"], status.get("failures", 0), status.get("resumes", 0))
        return status["state"], *numbers, summary(ended)["reason"]

    async def two_run() -> list[Object] | None:
        pods = [pod for pod in await experiments.running("wide") if pod["status"].get("phase") == "Running"]
        return pods if len(pods) == 2 else None

    async def one_runs() -> list[Object] | None:
        return [
            pod for pod in await experiments.running("drained") if pod["status"].get("phase") == "Running"
        ]

    async with (
        operating(cluster, namespace, tmp_path, settings={"attempts": {"backoff_seconds": 1}}),
        recording(api, namespace) as seen,
        playing(answering(api, namespace, special)),
    ):
        await experiments.submit(
            *(manifest(name) for name in ENDINGS if name != "wide"),
            manifest("wide", resources={"gpus": 1, "nodes": 2}),
        )

        # one of two nodes is drained: both pods come back, after the last of both has gone
        pods = sorted(await eventually(two_run), key=lambda pod: str(pod["metadata"]["name"]))
        first = (await experiments.stage("wide"))["metadata"]["name"] + "-1"
        service = await api.get(f"/api/v1/namespaces/{namespace}/services/{first}")
        assert service["spec"]["clusterIP"] == "None"
        assert [(pod["spec"]["hostname"], pod["spec"]["subdomain"]) for pod in pods] == [
            (f"{first}-{index}", first) for index in (0, 1)
        ]
        await evict(api, pods[1])
        (alone,) = await eventually(one_runs)
        await evict(api, alone)

        assert await outcome("wide") == ("Succeeded", 2, 0, 1, "Completed")
        assert await outcome("drained") == ("Succeeded", 2, 0, 1, "Completed")
        assert await outcome("evicted") == ("Succeeded", 2, 0, 1, "Completed")
        assert await outcome("interrupted") == ("Succeeded", 3, 0, 2, "Completed")
        assert await outcome("stalled") == ("Failed", 4, 0, 4, "Failed")
        assert await outcome("flaky") == ("Succeeded", 3, 2, 0, "Completed")
        assert await outcome("broken") == ("Failed", 3, 3, 0, "Failed")
        assert await outcome("invalid") == ("Failed", 1, 0, 0, "Failed")
        assert not seen.twice
        assert not seen.overlaps

        events = {
            name: await experiments.events((await experiments.stage(name))["metadata"]["name"])
            for name in ("wide", "flaky", "broken", "stalled")
        }
        assert "Resuming" in events["wide"]
        assert "exit code 1" in events["flaky"]["Retrying"]
        assert "exit code 1" in events["broken"]["Failed"]
        assert "Failed" in events["stalled"]
        assert (await experiments.stage("stalled"))["status"]["reason"] == "NoProgress"
        assert "exit code 1" in (await experiments.events("broken"))["StageFailed"]
        assert "exit code 1" in summary(await experiments.get("broken"))["message"]


async def test_a_quota_that_refuses_pods_is_told_until_it_has_room(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    """The Job is made, and has no pod: nothing of that is in the Job's conditions."""
    experiments = Experiments(api, namespace)
    await set_quota(cluster, namespace, {"requests.nvidia.com/gpu": "0"})
    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace)):
        await experiments.submit(manifest("full", resources={"gpus": 1}))
        told = summary(await experiments.says("full", "WaitingForStages", within_s=60))["message"]
        job = f"{(await experiments.stage('full'))['metadata']['name']}-1"
        assert f"PodsMissing: the Job {job} has 0 of 1 pods: `kubectl describe job {job}` says why" in told
        assert "exceeded quota: limited" in (await experiments.events(job))["FailedCreate"]
        await set_quota(cluster, namespace, {"requests.nvidia.com/gpu": "1"})
        (ended,) = await experiments.ended("full", within_s=120)
        assert summary(ended)["reason"] == "Completed"
        assert {one["status"]["attempt"]["number"] for one in await experiments.stages()} == {1}


async def test_a_quota_that_refuses_jobs_is_told_in_its_words_until_it_has_room(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments = Experiments(api, namespace)
    await set_quota(cluster, namespace, {"count/jobs.batch": "0"})
    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace)):
        await experiments.submit(manifest("none"))
        told = summary(await experiments.says("none", "Refused", within_s=60))["message"]
        assert "the API server refuses what it needs" in told
        assert "exceeded quota: limited, requested: count/jobs.batch=1" in told
        await set_quota(cluster, namespace, {"count/jobs.batch": "1"})  # of the lookup alone
        told = summary(await experiments.says("none", "WaitingForStages", within_s=90))["message"]
        assert "Refused: " in told
        assert "exceeded quota: limited" in told
        await set_quota(cluster, namespace, {"count/jobs.batch": "9"})
        (ended,) = await experiments.ended("none", within_s=120)
        assert summary(ended)["reason"] == "Completed"


async def set_quota(cluster: Cluster, namespace: str, hard: dict[str, str]) -> None:
    """Have the namespace's quota be this, and wait until it is in force."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "limited", "namespace": namespace},
        "spec": {"hard": hard},
    }
    await asyncio.to_thread(cluster.apply, quota)
    async with connect(cluster.kubeconfig) as api:

        async def enforced() -> bool:
            found = await api.get(f"/api/v1/namespaces/{namespace}/resourcequotas/limited")
            return found.get("status", {}).get("hard") == hard

        await eventually(enforced)
