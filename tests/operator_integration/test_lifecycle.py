"""What people do with experiments while they run, and what they are told: one operator, many experiments at once."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import (
    Experiments,
    Labels,
    answering,
    condition,
    manifest,
    owners,
    summary,
)
from controlplane.operating import operating
from controlplane.player import RUNS_ON, Outcome, playing
from controlplane.recording import recording

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

GPU = {"gpus": 1}


async def holds(check: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    await eventually(check, within_s=within_s, every_s=0.2)


def is_training(labels: Labels, of: str, attempt: int | None = None) -> bool:
    """Whether a pod trains for this experiment."""
    same = attempt is None or labels.get("xstilts.dev/attempt") == str(attempt)
    return labels["xstilts.dev/kind"] == "train" and labels["xstilts.dev/experiment"] == of and same


async def test_suspended_late_brief_and_poor_experiments(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments = Experiments(api, namespace)

    async def special(labels: Labels) -> Outcome | None:
        if is_training(labels, "paused", 1) or is_training(labels, "late"):
            return RUNS_ON
        return Outcome(claimed_seconds=3600) if is_training(labels, "poor") else None

    async def runs(name: str) -> bool:
        pods = await experiments.running(name)
        return [pod["status"].get("phase") for pod in pods] == ["Running"]

    async def stands_still(name: str) -> bool:
        live = [job for job in await experiments.jobs() if not job["status"].get("conditions")]
        whose = {job["metadata"]["labels"]["xstilts.dev/experiment"] for job in live}
        return name not in whose and not await experiments.running(name)

    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace, special)):
        await experiments.submit(
            manifest("paused", resources=GPU),
            manifest("late", activeDeadlineSeconds=6),
            manifest("brief", ttlSecondsAfterFinished=1),
            manifest("poor", resources=GPU, budget={"gpuHours": 1}),
            manifest("queued", queueName="team"),
            manifest("astray", store={"name": "elsewhere"}),
            manifest("patient", suspend=True),
        )

        # suspend and resume
        await holds(lambda: runs("paused"))
        await asyncio.sleep(1.5)
        await experiments.edit("paused", suspend=True)
        suspended = await experiments.says("paused", "Suspended")
        await holds(lambda: stands_still("paused"))
        train = await experiments.stage("paused")
        assert (train["status"]["state"], train["status"]["reason"]) == ("Pending", "Suspended")
        assert train["status"]["usage"][0]["gpuSeconds"] >= 1
        assert "activeSince" not in suspended["status"]
        await experiments.edit("paused", suspend=False)
        (paused,) = await experiments.ended("paused")
        assert summary(paused)["reason"] == "Completed"
        assert (await experiments.stage("paused"))["status"]["attempt"]["number"] == 2
        assert "Suspended" in await experiments.events(train["metadata"]["name"])
        assert {"Suspended", "Running", "Completed"} <= set(await experiments.events("paused"))

        # a deadline
        (late,) = await experiments.ended("late")
        assert summary(late)["reason"] == "DeadlineExceeded"
        assert "spec.activeDeadlineSeconds" in summary(late)["message"]
        assert 6 <= late["status"]["activeSeconds"] < 20
        await holds(lambda: stands_still("late"))

        # what is kept of one that has ended
        async def gone() -> bool:
            named = [*await experiments.all(), *await experiments.stages("brief"), *await experiments.jobs()]
            return not any("brief" in {obj["metadata"]["name"], *owners(obj)} for obj in named)

        await holds(gone)

        # why one does not go on
        poor = await experiments.says("poor", "BudgetSpent")
        assert "spec.budget.gpuHours is spent" in summary(poor)["message"]
        assert poor["status"]["gpuHours"]["spent"].startswith("1.0")
        await experiments.edit("poor", budget={"gpuHours": 2})
        (poor,) = await experiments.ended("poor")
        assert summary(poor)["reason"] == "Completed"
        queued = await experiments.says("queued", "QueueUnavailable")
        assert "'team'" in summary(queued)["message"]
        assert condition(queued, "QueueUnavailable")["status"] == "True"
        await experiments.edit("queued", queueName=None)
        (queued,) = await experiments.ended("queued")
        assert condition(queued, "QueueUnavailable")["status"] == "False"
        assert summary(await experiments.says("astray", "StoreUnknown"))["status"] == "Unknown"
        patient = await experiments.says("patient", "Suspended")
        assert "plan" not in patient["status"]
        assert not await experiments.stages("patient")


async def test_a_failed_stage_fails_what_needs_it_alone_and_is_tried_again(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments, mended = Experiments(api, namespace), False

    async def special(labels: Labels) -> Outcome | None:
        return Outcome(64) if is_training(labels, "wrong") and not mended else None

    async with operating(cluster, namespace, tmp_path), playing(answering(api, namespace, special)):
        # `right` makes all of the model `right`; what is left to `wrong` is the model `wrong`
        await experiments.submit(manifest("right"))
        await experiments.ended("right")
        await experiments.submit(manifest("wrong", "right", "wrong"))
        (wrong,) = await experiments.ended("wrong")
        counts = wrong["status"]["counts"]
        assert {name: counts[name] for name in ("total", "succeeded", "cached", "failed", "blocked")} == {
            "total": 4,
            "succeeded": 2,
            "cached": 2,
            "failed": 1,
            "blocked": 1,
        }
        assert summary(wrong)["reason"] == "PartlyFailed"
        assert "1 of 4 stages failed, 1 could not run" in summary(wrong)["message"]
        assert "exit code 64" in summary(wrong)["message"]
        own = {
            one["spec"]["kind"]: one for one in await experiments.stages("wrong") if owners(one) == ["wrong"]
        }
        failed, blocked = own["train"], own["evaluate"]
        assert (failed["status"]["state"], failed["status"]["attempt"]["number"]) == ("Failed", 1)
        assert blocked["status"]["reason"] == "ParentFailed"
        told = cluster.kubectl("describe", "tx", "wrong", "-n", namespace)
        assert "StageFailed" in told
        assert failed["spec"]["title"] in told
        assert "exit code 64" in cluster.kubectl(
            "describe", "txs", failed["metadata"]["name"], "-n", namespace
        )

        mended = True
        await asyncio.sleep(1)  # times have whole seconds
        await experiments.edit("wrong", retryFailedAt=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        await experiments.says("wrong", "Completed")
        assert {one["status"]["state"] for one in await experiments.stages("wrong")} == {"Succeeded"}
        assert (await experiments.get("wrong"))["status"]["counts"]["succeeded"] == 4


async def test_deleted_experiments_leave_nothing_but_what_others_need(
    cluster: Cluster, api: Api, namespace: str, tmp_path: Path
) -> None:
    experiments, go_on = Experiments(api, namespace), asyncio.Event()

    async def special(labels: Labels) -> Outcome | None:
        if labels["xstilts.dev/kind"] != "train":
            return None
        if labels["xstilts.dev/stage"] in shared:
            await go_on.wait()
            return None
        return Outcome(after_seconds=math.inf)

    shared: set[str] = set()

    def of(names: set[str], objects: list[Object]) -> list[Object]:
        return [
            one
            for one in objects
            if names & {*owners(one), one["metadata"].get("labels", {}).get("xstilts.dev/experiment")}
        ]

    async def nothing_left(*names: str) -> bool:
        held = [
            *await experiments.stages(),
            *await experiments.jobs(),
            *await experiments.pods(),
            *await experiments.plans(),
        ]
        return not of(set(names), held)

    async with (
        operating(cluster, namespace, tmp_path) as operator,
        recording(api, namespace) as seen,
        playing(answering(api, namespace, special)),
    ):
        await asyncio.gather(*(experiments.submit(manifest(name, "shared")) for name in ("one", "other")))
        await experiments.submit(manifest("lonely"), manifest("orphan"))

        async def all_train() -> bool:
            stages = await experiments.stages()
            shared.update(one["metadata"]["name"] for one in stages if "one" in owners(one))
            running = [pod for pod in await experiments.pods() if pod["status"].get("phase") == "Running"]
            return sum("xstilts.dev/attempt" in pod["metadata"]["labels"] for pod in running) == 3

        await holds(all_train)
        train = await experiments.stage("one")
        payer = train["status"]["attempt"]["experiment"]
        (left,) = {"one", "other"} - {payer}

        # the one that pays goes, and the other's stage runs on
        await experiments.delete(payer)
        await experiments.delete("lonely")
        await holds(lambda: nothing_left("lonely"))

        async def alone() -> bool:
            return owners(await experiments.stage(left)) == [left]

        await holds(alone)
        go_on.set()
        (ended,) = await experiments.ended(left)
        assert summary(ended)["reason"] == "Completed"
        assert (await experiments.stage(left))["status"]["attempt"]["number"] == 1
        assert not seen.twice
        assert not seen.overlaps

        # nobody is there who could take a finalizer off
        assert await operator.stop(signal.SIGKILL) != 0
        held = [await experiments.get("orphan"), *await experiments.stages(), *await experiments.jobs()]
        assert not any(one["metadata"].get("finalizers") for one in held)
        await experiments.delete("orphan")
        await experiments.delete(left)
        await holds(lambda: nothing_left("orphan", left))
        assert not await experiments.all()
        assert not await experiments.stages()
