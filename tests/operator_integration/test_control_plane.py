"""The control plane itself: Jobs run by the player end as a kubelet would end them, and data outlives a restart."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import ApiException

from controlplane.api import Api, Object, connect, eventually
from controlplane.cluster import Cluster
from controlplane.plane import ControlPlane
from controlplane.player import OPERATORS_PODS, RUNS_ON, Outcome, Player, playing

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


def job(name: str, **spec: Any) -> Object:
    label, value = OPERATORS_PODS.split("=")
    container = {"name": "stage", "image": "trainer"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {label: value, "test": name}},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            },
            **spec,
        },
    }


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


async def ended(api: Api, namespace: str, name: str) -> Object:
    """The Job, once it is Complete or Failed."""

    async def terminal() -> Object | None:
        found = await api.get(f"{jobs(namespace)}/{name}")
        kinds = {each["type"] for each in found["status"].get("conditions", []) if each["status"] == "True"}
        return found if kinds & {"Complete", "Failed"} else None

    answer: Object = await eventually(terminal)
    return answer


async def terminated(api: Api, namespace: str, name: str) -> Object:
    """The state that the first container of the Job's only pod ended in."""
    [pod] = (await api.get(pods(namespace), labelSelector=f"test={name}"))["items"]
    state: Object = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


async def running(api: Api, namespace: str, count: int = 1) -> list[Object]:
    async def there() -> list[Object]:
        found = (await api.get(pods(namespace)))["items"]
        return found if [pod["status"]["phase"] for pod in found] == ["Running"] * count else []

    answer: list[Object] = await eventually(there)
    return answer


async def deleted(api: Api, pod: Object) -> Object:
    """The pod as it was when it was removed."""
    metadata = pod["metadata"]
    async for kind, each in api.watch(
        pods(metadata["namespace"]),
        resourceVersion=metadata["resourceVersion"],
        fieldSelector=f"metadata.name={metadata['name']}",
        timeoutSeconds="60",
    ):
        if kind == "DELETED":
            return each
    raise TimeoutError(f"{metadata['name']} is there still")


async def gone(api: Api, path: str) -> bool:
    return not await api.exists(path)


async def test_a_job_ends_with_its_pods_exit_code_and_message(api: Api, namespace: str) -> None:
    def outcome(pod: Object) -> Outcome:
        return (
            Outcome(64, "é" * 5000)
            if pod["metadata"]["labels"]["test"] == "bad"
            else Outcome(0, '{"key": 1}', 0.2)
        )

    async with playing(Player(api, outcome, namespace=namespace)) as player:
        for name in ("good", "bad"):
            await api.create(jobs(namespace), job(name))
        good, bad = [await ended(api, namespace, name) for name in ("good", "bad")]
        assert good["status"]["succeeded"] == 1
        assert bad["status"]["failed"] == 1
        state = await terminated(api, namespace, "good")
        assert (state["exitCode"], state["reason"]) == (0, "Completed")
        assert json.loads(state["message"]) == {"key": 1}
        state = await terminated(api, namespace, "bad")
        assert (state["exitCode"], state["reason"], state["message"]) == (64, "Error", "é" * 2048)
        spans = {
            play.pod["metadata"]["labels"]["test"]: (play.ended or math.inf) - play.began
            for play in player.plays
        }
        assert spans["good"] >= 0.2
        assert len(player.plays) == 2


async def test_an_outcome_may_be_awaited_and_is_cancelled_with_its_pod(api: Api, namespace: str) -> None:
    release = asyncio.Event()
    cancelled = []

    async def outcome(pod: Object) -> Outcome:
        name = pod["metadata"]["labels"]["test"]
        try:
            await (release.wait() if name == "released" else asyncio.Event().wait())
        except asyncio.CancelledError:
            cancelled.append(name)
            raise
        return Outcome(0)

    async with playing(Player(api, outcome, namespace=namespace)):
        for name in ("released", "deleted"):
            await api.create(jobs(namespace), job(name))
        await running(api, namespace, 2)
        await api.delete(f"{jobs(namespace)}/deleted", propagationPolicy="Foreground")
        release.set()
        await ended(api, namespace, "released")
        await eventually(lambda: gone(api, f"{jobs(namespace)}/deleted"))
        assert cancelled == ["deleted"]


async def test_foreground_deletion_stops_the_pod_first_and_then_removes_the_job(
    api: Api, namespace: str
) -> None:
    async with playing(
        Player(api, lambda _pod: RUNS_ON, stopped=lambda _pod: Outcome(42, "saved", 0.3), namespace=namespace)
    ):
        await api.create(jobs(namespace), job("stopped"))
        [pod] = await running(api, namespace)
        await api.delete(f"{jobs(namespace)}/stopped", propagationPolicy="Foreground")
        last = await deleted(api, pod)
        assert last["status"]["phase"] == "Failed"
        state = last["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (state["exitCode"], state["message"]) == (42, "saved")
        await eventually(lambda: gone(api, f"{jobs(namespace)}/stopped"))
        assert (await api.get(pods(namespace)))["items"] == []


async def test_a_pod_that_outstays_its_grace_period_is_killed(api: Api, namespace: str) -> None:
    async with playing(Player(api, lambda _pod: RUNS_ON, stopped=lambda _pod: RUNS_ON, namespace=namespace)):
        await api.create(jobs(namespace), job("stubborn"))
        [pod] = await running(api, namespace)
        await api.delete(f"{pods(namespace)}/{pod['metadata']['name']}", gracePeriodSeconds=1)
        assert (await ended(api, namespace, "stubborn"))["status"]["failed"] == 1


async def test_an_evicted_pod_keeps_its_disruption_condition(api: Api, namespace: str) -> None:
    async with playing(Player(api, lambda _pod: RUNS_ON, namespace=namespace)):
        await api.create(jobs(namespace), job("evicted"))
        [pod] = await running(api, namespace)
        name = pod["metadata"]["name"]
        await api.create(
            f"{pods(namespace)}/{name}/eviction",
            {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": namespace},
            },
        )
        last = await deleted(api, pod)
        conditions = {condition["type"]: condition["status"] for condition in last["status"]["conditions"]}
        assert conditions["DisruptionTarget"] == "True"
        assert last["status"]["phase"] == "Failed"


async def test_the_api_servers_data_and_the_players_pods_outlive_a_restart(
    api: Api, control_plane: ControlPlane, namespace: str
) -> None:
    async with playing(Player(api, lambda _pod: Outcome(after_seconds=3), namespace=namespace)) as player:
        await api.create(jobs(namespace), job("long"))
        await running(api, namespace)
        await asyncio.to_thread(control_plane.restart_apiserver, kill=True)
        assert (await api.get(f"{jobs(namespace)}/long"))["metadata"]["name"] == "long"
        assert (await ended(api, namespace, "long"))["status"]["succeeded"] == 1
        assert len(player.plays) == 1


async def test_a_user_and_a_service_account_may_do_what_rbac_grants(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    cluster.kubectl("create", "rolebinding", "viewer", "-n", namespace, "--clusterrole=view", "--user=ada")
    cluster.kubectl("create", "serviceaccount", "reader", "-n", namespace)
    cluster.kubectl(
        "create",
        "rolebinding",
        "reader",
        "-n",
        namespace,
        "--clusterrole=view",
        f"--serviceaccount={namespace}:reader",
    )
    for kubeconfig in (
        control_plane.user_kubeconfig("ada"),
        cluster.service_account_kubeconfig(namespace, "reader"),
    ):
        async with connect(kubeconfig) as client:
            assert (await client.get(pods(namespace)))["items"] == []
            with pytest.raises(ApiException) as refused:
                await client.create(jobs(namespace), job("refused"))
            assert refused.value.status == 403


async def test_kwok_plays_nodes_and_pods_for_a_real_scheduler(tmp_path: Path) -> None:
    with ControlPlane(tmp_path) as plane:
        plane.start_scheduler()
        plane.start_kwok(nodes=2)
        async with connect(plane.kubeconfig) as api:
            await api.create(jobs("default"), job("many", parallelism=4, completions=4))
            assert (await ended(api, "default", "many"))["status"]["succeeded"] == 4
