"""The operator as a process against a real API server: an experiment to its end, and a process that is killed in between."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.operating import operating
from controlplane.player import Outcome, Player, playing
from operator_sim.cluster import answer_of
from operator_sim.schedules import experiment

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


def player(api: Api) -> Player:
    """Pods that answer what the trainer and the operator's own programs would."""

    async def outcome(pod: Object) -> Outcome:
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"]
        plan = labels.get("xstilts.dev/plan")
        frozen = await api.get(f"/api/v1/namespaces/{namespace}/configmaps/{plan}") if plan else None
        code, message = answer_of(pod, frozen, 1, lambda _stage, _attempt: 0, held=set())
        return Outcome(code, message, after_seconds=0.2)

    return Player(api, outcome)


def path(namespace: str, plural: str, name: str = "") -> str:
    return f"/apis/xstilts.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}".rstrip("/")


async def submit(api: Api, namespace: str) -> None:
    manifest = experiment("reference")
    manifest["metadata"]["namespace"] = namespace
    await api.create(path(namespace, "transferexperiments"), manifest)


async def ended(api: Api, namespace: str) -> Any:
    async def check() -> Any:
        found = await api.get(path(namespace, "transferexperiments", "reference"))
        conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", ())}
        return found if conditions.get("Succeeded", {}).get("status") in {"True", "False"} else None

    return await eventually(check, within_s=240, every_s=0.5)


async def jobs(api: Api, namespace: str) -> dict[str, str]:
    """Name -> UID."""
    listed = await api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in listed["items"]}


async def test_an_experiment_ends_and_sigterm_ends_the_operator(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    async with operating(cluster, namespace, tmp_path) as operator, playing(player(api)):
        await submit(api, namespace)
        found = await ended(api, namespace)
        assert found["status"]["counts"]["succeeded"] == found["status"]["counts"]["total"] == 26, found[
            "status"
        ]
        assert len(found["status"]["results"]) == 8
        stages = (await api.get(path(namespace, "transferstages")))["items"]
        assert {stage["status"]["attempt"]["number"] for stage in stages} == {1}
        assert await operator.answers("healthz")
        events = (await api.get(f"/api/v1/namespaces/{namespace}/events"))["items"]
        assert any(one["involvedObject"]["name"] == "reference" for one in events)
        assert await operator.stop(signal.SIGTERM) == 0
        assert "Traceback" not in operator.log, operator.log


async def test_killed_in_the_middle_and_started_again_it_makes_no_job_twice(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    made: dict[str, set[str]] = {}

    async def record() -> None:
        listed = await api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")
        version = listed["metadata"]["resourceVersion"]
        async for kind, job in api.watch(
            f"/apis/batch/v1/namespaces/{namespace}/jobs", resourceVersion=version
        ):
            if kind == "ADDED":
                made.setdefault(job["metadata"]["name"], set()).add(job["metadata"]["uid"])

    recording = asyncio.create_task(record())
    async with operating(cluster, namespace, tmp_path) as operator, playing(player(api)):
        await submit(api, namespace)
        for enough in (2, 6, 12):

            async def there(enough: int = enough) -> bool:
                return len(made) >= enough

            await eventually(there, within_s=120)
            await operator.stop(signal.SIGKILL)
            await operator.start()
        found = await ended(api, namespace)
        assert found["status"]["counts"]["succeeded"] == 26, json.dumps(found["status"])
    recording.cancel()
    assert len(made) == 28  # 26 stages, the lookup and the report
    assert {len(uids) for uids in made.values()} == {1}
    assert len(await jobs(api, namespace)) == 28
