"""The operator as a process against a real API server: an experiment to its end, and a process that is killed in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.daemon import free_ports
from controlplane.player import Outcome, Player, playing
from operator_sim.cluster import answer_of
from operator_sim.schedules import experiment

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

SETTINGS = {
    "images": {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"},
    "stores": {"default": {"claim": "experiments"}},
}


class Operator:
    """`python -m xstilts_operator` for one namespace."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._folder = folder
        self._health, metrics = free_ports(2)
        settings = folder / "settings.yaml"
        settings.write_text(yaml.safe_dump({**SETTINGS, "namespaces": [namespace]}))
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "XSTILTS_SETTINGS": str(settings),
            "XSTILTS_HEALTH_PORT": str(self._health),
            "XSTILTS_METRICS_PORT": str(metrics),
            "POD_NAMESPACE": namespace,
            "POD_NAME": "operator-0",
        }
        self.process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return (self._folder / "operator.log").read_text()

    async def start(self) -> None:
        with (self._folder / "operator.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "xstilts_operator", env=self._environment, stdout=log, stderr=log
            )
        await eventually(lambda: self.answers("readyz"), within_s=120)

    async def stop(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return await self.process.wait()

    async def answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self._health}/{path}") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running(cluster: Cluster, namespace: str, folder: Path) -> AsyncIterator[Operator]:
    operator = Operator(cluster, namespace, folder)
    await operator.start()
    try:
        yield operator
    finally:
        if operator.process is not None and operator.process.returncode is None:
            operator.process.kill()
            await operator.process.wait()


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
    async with running(cluster, namespace, tmp_path) as operator, playing(player(api)):
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
    async with running(cluster, namespace, tmp_path) as operator, playing(player(api)):
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
