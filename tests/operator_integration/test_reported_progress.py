"""Progress on a real API server: its own tokens and published keys, its server-side apply, its schema."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from prometheus_client import CollectorRegistry

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.client import ClusterApi
from xstilts_operator.metrics.instruments import Instruments
from xstilts_operator.names import API_VERSION, ATTEMPT_LABEL, STAGE_LABEL
from xstilts_operator.progress.protocol import CA_CONFIG_MAP, CA_KEY, audience, path, url
from xstilts_operator.progress.service import serve_progress
from xstilts_trainer.progress import Reporter

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

STAGE = "train-0123456789abcdef01234567"


async def running_stage(api: Api, namespace: str) -> tuple[Object, Object]:
    """A stage at its first attempt, and a pod of it."""
    spec = {"key": "a" * 64, "kind": "train", "store": "experiments", "stage": "{}"}
    stages = f"/apis/{API_VERSION}/namespaces/{namespace}/transferstages"
    body = {"apiVersion": API_VERSION, "kind": "TransferStage", "metadata": {"name": STAGE}, "spec": spec}
    await api.create(stages, body)
    attempt: dict[str, Any] = {"state": "Active", "attempt": {"number": 1}}
    stage = await api.patch(f"{stages}/{STAGE}/status", {"status": attempt}, fieldManager="xstilts")
    labels = {STAGE_LABEL: STAGE, ATTEMPT_LABEL: "1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{STAGE}-1", "labels": labels},
        "spec": {"containers": [{"name": "stage", "image": "trainer"}]},
    }
    return stage, await api.create(f"/api/v1/namespaces/{namespace}/pods", pod)


async def token(api: Api, namespace: str, pod: Object) -> str:
    """What the kubelet would project into the pod."""
    bound = {
        "kind": "Pod",
        "apiVersion": "v1",
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }
    spec = {"audiences": [audience(namespace, STAGE)], "expirationSeconds": 3600, "boundObjectRef": bound}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", body)
    return str(answer["status"]["token"])


async def test_a_pods_report_is_in_its_stage(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    await eventually(lambda: api.exists(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
    stage, pod = await running_stage(api, namespace)
    cache = Cache()
    cache.upsert(Resource.STAGE, stage)
    cache.upsert(Resource.POD, pod)
    metadata = {"namespace": namespace, "name": "sizes", "uid": "u", "resourceVersion": "1"}
    cache.upsert(Resource.EXPERIMENT, {"metadata": metadata})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    configuration = Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    instruments = Instruments(CollectorRegistry())
    client = ClusterApi(configuration, instruments)
    address = f"https://127.0.0.1:{port}"
    bundle, bearer = tmp_path / CA_KEY, tmp_path / "token"
    notes: list[str] = []
    try:
        async with serve_progress(address, cache, client, instruments, host="127.0.0.1", port=port):
            published = f"/api/v1/namespaces/{namespace}/configmaps/{CA_CONFIG_MAP}"
            await eventually(lambda: api.exists(published))
            bundle.write_text((await api.get(published))["data"][CA_KEY])
            bearer.write_text(await token(api, namespace, pod))
            reporter = Reporter(url(address, namespace, STAGE), bundle, bearer, notes.append)
            await asyncio.to_thread(reporter.tell, 40, 90, {"loss": "0.6931"})

            async def progress() -> Object | None:
                found: Object | None = (await api.get(path(namespace, STAGE)))["status"].get("progress")
                return found

            told = await eventually(progress)
    finally:
        await client.close()
    assert told.pop("lastUpdatedTime")
    assert told == {
        "attempt": 1,
        "percent": 40,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.6931"}],
    }
    assert not notes
    now = await api.get(path(namespace, STAGE))
    assert now["status"]["attempt"] == {"number": 1}
    managers = {field["manager"]: field["fieldsV1"] for field in now["metadata"]["managedFields"]}
    assert list(managers["xstilts-progress"]) == ["f:status"]
    assert list(managers["xstilts-progress"]["f:status"]) == ["f:progress"]
