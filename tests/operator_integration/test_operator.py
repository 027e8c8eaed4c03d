"""The operator as a process against a real API server: an experiment to its end, and a process that is killed in between."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, answering
from controlplane.operating import operating
from controlplane.player import playing
from controlplane.recording import recording
from operator_sim.schedules import experiment

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


def reference(namespace: str) -> Object:
    """The experiment of 26 stages."""
    manifest: Object = experiment("reference")
    manifest["metadata"]["namespace"] = namespace
    return manifest


async def test_an_experiment_ends_and_sigterm_ends_the_operator(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments = Experiments(api, namespace)
    async with operating(cluster, namespace, tmp_path) as operator, playing(answering(api, namespace)):
        await experiments.submit(reference(namespace))
        (found,) = await experiments.ended("reference", within_s=240)
        assert found["status"]["counts"]["succeeded"] == found["status"]["counts"]["total"] == 26, found[
            "status"
        ]
        assert len(found["status"]["results"]) == 8
        stages = await experiments.stages()
        assert {stage["status"]["attempt"]["number"] for stage in stages} == {1}
        assert await operator.answers("healthz")
        assert await experiments.events("reference")
        assert await operator.stop(signal.SIGTERM) == 0
        assert "Traceback" not in operator.log, operator.log


async def test_killed_in_the_middle_and_started_again_it_makes_no_job_twice(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments = Experiments(api, namespace)
    async with (
        recording(api, namespace) as seen,
        operating(cluster, namespace, tmp_path) as operator,
        playing(answering(api, namespace)),
    ):
        await experiments.submit(reference(namespace))
        for enough in (2, 6, 12):

            async def there(enough: int = enough) -> bool:
                return len(seen.jobs) >= enough

            await eventually(there, within_s=120)
            await operator.stop(signal.SIGKILL)
            await operator.start()
        (found,) = await experiments.ended("reference", within_s=240)
        assert found["status"]["counts"]["succeeded"] == 26, json.dumps(found["status"])
    assert len(seen.jobs) == 28  # 26 stages, the lookup and the report
    assert {len(uids) for uids in seen.jobs.values()} == {1}
    assert len(await experiments.jobs()) == 28
