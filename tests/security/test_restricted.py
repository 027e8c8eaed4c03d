"""Pods of generated experiments before a real API server that admits restricted ones alone, and no Job that it does not know."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from kubernetes.aio.client import ApiException

from controlplane.api import Api, eventually
from security.promise import jobs_of
from security.specs import MANIFESTS
from security.test_promise import OPEN, admitted
from xstilts_operator.actions import Object
from xstilts_operator.names import KIND_LABEL

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(600)]

EXPERIMENTS = 300
AT_ONCE = 16
CLASSES = {
    "priorityClassName": "sampled",
    "runtimeClassName": "sampled",
}  # a name that is not there is refused as such


def sampled(namespace: str, of: int = EXPERIMENTS) -> list[Object]:
    """The Jobs of generated experiments in the namespace."""
    found: list[Object] = []
    count = 0

    @seed(2026)
    @settings(max_examples=of, database=None, suppress_health_check=list(HealthCheck))
    @given(MANIFESTS)
    def take(manifest: Any) -> None:
        nonlocal count
        manifest["metadata"]["namespace"] = namespace
        resources = manifest["spec"].get("resources", {})
        resources.update({name: value for name, value in CLASSES.items() if name in resources})
        experiment = admitted(manifest)
        if experiment is not None:
            count += 1
            found.extend(jobs_of(experiment, OPEN))

    take()
    assert count > of * 0.9
    return found


def pod_of(job: Object) -> Object:
    """The pod that the Job's controller would make."""
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "name": job["metadata"]["name"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.fixture
async def ready(api: Api, restricted: str) -> str:
    """The namespace with the stages' account and the classes that experiments name."""
    accounts = f"/api/v1/namespaces/{restricted}/serviceaccounts"
    await api.create(accounts, {"metadata": {"name": "stages"}})
    for path, body in (
        ("/apis/scheduling.k8s.io/v1/priorityclasses", {"value": 1}),
        ("/apis/node.k8s.io/v1/runtimeclasses", {"handler": "runc"}),
    ):
        if not await api.exists(f"{path}/sampled"):
            await api.create(path, {"metadata": {"name": "sampled"}, **body})
    return restricted


async def refused(api: Api, plural: str, bodies: list[Object]) -> list[str]:
    """What the API server says against making these, each tried without being made."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(body: Object) -> str:
        async with limit:
            try:
                await api.create(plural, body, dryRun="All", fieldValidation="Strict")
            except ApiException as error:
                return f"{body['metadata']['name']}: {json.loads(error.body)['message']}"
            return ""

    return [said for said in await asyncio.gather(*map(one, bodies)) if said]


async def test_every_pod_and_job_of_a_sample_is_admitted(api: Api, ready: str) -> None:
    jobs = sampled(ready)
    pods = [pod_of(job) for job in jobs]
    path = f"/api/v1/namespaces/{ready}/pods"

    async def known() -> bool:  # caches of the classes that were just made
        return not any('"sampled"' in said for said in await refused(api, path, pods[:50]))

    await eventually(known, within_s=30, every_s=0.5)
    assert len(pods) > 1000
    assert {job["metadata"]["labels"][KIND_LABEL] for job in jobs} == {
        "prepare", "train", "evaluate", "lookup", "report",
    }  # fmt: skip
    assert not await refused(api, path, pods)
    assert not await refused(api, f"/apis/batch/v1/namespaces/{ready}/jobs", jobs)


async def test_the_namespace_refuses_what_is_not_restricted(api: Api, ready: str) -> None:
    (job, *_) = sampled(ready, 10)
    pod = pod_of(job)
    pod["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    (said,) = await refused(api, f"/api/v1/namespaces/{ready}/pods", [pod])
    assert "violates PodSecurity" in said
    assert "hostPath" in said
