"""Fifty experiments that come, stand still, go on and go at random, with stages in common."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path

import pytest

from controlplane.api import Api, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, answering, manifest, owners, summary
from controlplane.operating import operating
from controlplane.player import playing
from controlplane.recording import recording

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

SEED = 20_261_124
EXPERIMENTS = 50
SPAN_SECONDS = 25.0
MODELS = ("one", "two", "three", "four", "five", "six")


async def live(experiments: Experiments, name: str, rng: random.Random, stood_still: set[str]) -> bool:
    """Come, perhaps stand still for a while, perhaps go; whether it has stayed. `stood_still` gets its name if it has."""
    await asyncio.sleep(rng.uniform(0, SPAN_SECONDS / 2))
    models, suspends, stays = rng.sample(MODELS, rng.choice((1, 2))), rng.random() < 0.3, rng.random() < 0.5
    await experiments.submit(manifest(name, *models))
    if suspends:
        stood_still.add(name)
        await asyncio.sleep(rng.uniform(0, SPAN_SECONDS / 8))
        await experiments.edit(name, suspend=True)
        await asyncio.sleep(rng.uniform(0, SPAN_SECONDS / 8))
        await experiments.edit(name, suspend=False)
    if not stays:
        await asyncio.sleep(rng.uniform(0, SPAN_SECONDS / 4))
        await experiments.delete(name)
    return stays


async def test_experiments_that_come_and_go(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments = Experiments(api, namespace)
    names = [f"run-{number:02}" for number in range(EXPERIMENTS)]
    stood_still: set[str] = set()
    async with (
        operating(cluster, namespace, tmp_path) as operator,
        recording(api, namespace) as seen,
        playing(answering(api, namespace, seconds=1)),
    ):
        lives = (
            live(experiments, name, random.Random(f"{SEED} {name}"), stood_still)  # noqa: S311 - seeded
            for name in names
        )
        stayed = await asyncio.gather(*lives)
        left = [name for name, stays in zip(names, stayed, strict=True) if stays]
        ended = await experiments.ended(*left, within_s=120)
        assert {summary(one)["reason"] for one in ended} == {"Completed"}

        async def everyone_owns() -> bool:
            """Each stage is owned by exactly those that are left and need it, by two of one model."""
            needing = defaultdict(set)
            for one in await experiments.all():
                for model in one["spec"]["models"]:
                    needing[model["name"]].add(one["metadata"]["name"])
            stages = await experiments.stages()
            owned = sorted(sorted(owners(stage)) for stage in stages)
            return owned == sorted(2 * [sorted(names) for names in needing.values()])

        await eventually(everyone_owns, within_s=60, every_s=0.5)
        assert {stage["status"]["state"] for stage in await experiments.stages()} == {"Succeeded"}
        # a lookup or report goes when its experiment is to stand still, and is made again; a stage's Job never is
        assert {name.partition("-plan-")[0] for name in seen.twice} <= stood_still
        assert not seen.overlaps

        async def idle() -> bool:
            return all(
                pod["status"].get("phase") in {"Succeeded", "Failed"} for pod in await experiments.pods()
            )

        await eventually(idle, within_s=60)
        assert "fault of the operator" not in operator.log
