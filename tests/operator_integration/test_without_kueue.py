"""An experiment that names a queue where there is no Kueue, or where the operator is not told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controlplane.api import Api, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import manifest
from controlplane.operating import operating

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


@pytest.mark.parametrize("switched_on", [False, True])
async def test_the_condition_says_so_and_nothing_is_made_until_the_queue_is_left_out(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path, *, switched_on: bool
) -> None:
    experiments = f"/apis/xstilts.dev/v1alpha1/namespaces/{namespace}/transferexperiments"

    async def conditions(reason: str) -> dict[str, Any] | None:
        status = (await api.get(f"{experiments}/queued")).get("status", {})
        found = {one["type"]: one for one in status.get("conditions", ())}
        return found if found.get("Succeeded", {}).get("reason") == reason else None

    async def made() -> list[Any]:
        found: list[Any] = (await api.get(f"/apis/batch/v1/namespaces/{namespace}/jobs"))["items"]
        return found

    async with operating(cluster, namespace, tmp_path, settings={"kueue": switched_on}):
        await api.create(experiments, manifest("queued", queueName="research"))
        found = await eventually(lambda: conditions("QueueUnavailable"))
        assert found["QueueUnavailable"]["status"] == "True"
        assert "'research'" in found["QueueUnavailable"]["message"]
        assert await made() == []

        await api.patch(f"{experiments}/queued", {"spec": {"queueName": None}})
        found = await eventually(lambda: conditions("LookingUp"))
        assert found["QueueUnavailable"]["status"] == "False"
        # the status says so with the plan; the Job is made by the decision after that
        (job,) = await eventually(made)
        assert "suspend" not in job["spec"] or job["spec"]["suspend"] is False
