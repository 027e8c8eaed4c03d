"""The real Kueue beside the operator: what waits says why, is admitted, preempted and stopped, and no pod runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.api import Api, Object, eventually
from controlplane.cluster import Cluster
from controlplane.experiments import Experiments, Labels, answering, manifest, summary
from controlplane.kueue import API_VERSION, GPU, POOL, Kueue, cluster_queue, local_queue, queued_job
from controlplane.operating import operating
from controlplane.plane import ControlPlane
from controlplane.player import Outcome, Player, playing
from xstilts.errors import EXIT_INTERRUPTED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("kueue"),
]

WITHIN_S = 180
QUEUE = "research"
URGENT = "urgent"
STAGE, ATTEMPT, KIND = "xstilts.dev/stage", "xstilts.dev/attempt", "xstilts.dev/kind"


@pytest.fixture(scope="module")
def cluster(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for these tests alone: once Kueue is installed, no Job is taken without it."""
    with ControlPlane(tmp_path_factory.mktemp("queueing")) as plane:
        plane.apply_crds(*sorted((repository / "crds").glob("*.yaml")))
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
        plane.apply({**priority, "metadata": {"name": URGENT}})
        yield plane


@pytest.fixture(scope="module")
def kueue(cluster: ControlPlane) -> Iterator[Kueue]:
    with Kueue(cluster) as running:
        yield running


@pytest.fixture
def managing_all(kueue: Kueue) -> Iterator[None]:
    """Kueue under `manageJobsWithoutQueueName: true`."""
    kueue.stop()
    kueue.start(manage_all=True)
    yield
    kueue.stop()
    kueue.start()


class Team:
    """A namespace with an operator, a ClusterQueue of its own, and a node on which stages run until they may end."""

    def __init__(self, api: Api, cluster: Cluster, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.may_end = asyncio.Event()
        self.live: dict[str, tuple[str, str]] = {}  # pods of stages that run, by UID: stage and attempt
        self.doubled: list[str] = []  # stages of which pods of two attempts were there together
        self._cluster = cluster
        self._experiments = Experiments(api, namespace)

    # -- what people do -----------------------------------------------------------------------------------------

    def give(self, *, cpu: int = 100, gpus: int = 0) -> None:
        """The quota."""
        self._cluster.apply(cluster_queue(self.namespace, cpu=cpu, gpus=gpus))

    def open(self, name: str = QUEUE) -> None:
        """Make a LocalQueue."""
        self._cluster.apply(local_queue(self.namespace, name, self.namespace))

    async def submit(self, name: str = "grid", queue: str | None = QUEUE) -> None:
        """One training and its evaluation, with a GPU each."""
        named: dict[str, Any] = {"queueName": queue} if queue else {}
        await self._experiments.submit(manifest(name, resources={"gpus": 1}, **named))

    async def edit(self, name: str = "grid", **spec: Any) -> None:
        await self._experiments.edit(name, **spec)

    async def delete(self, name: str = "grid") -> None:
        await self._experiments.delete(name)

    def rival(self, name: str = "rival") -> None:
        """Somebody's Job of higher priority, which takes a GPU until it is deleted."""
        self._cluster.create(queued_job(self.namespace, name, QUEUE, priority_class=URGENT, gpus=1))

    # -- what there is ------------------------------------------------------------------------------------------

    async def said(self, name: str = "grid") -> tuple[str, str, str]:
        """Status, reason and message of the summary condition."""
        found = summary(await self._experiments.get(name))
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    async def saying(self, reason: str, *parts: str) -> str:
        """The experiment's message, once it has this reason and these parts."""

        async def check() -> str | None:
            last = await self.said()
            found = last[1] == reason and all(part in last[2] for part in parts)
            return last[2] if found else None

        try:
            return await eventually(check, within_s=WITHIN_S, every_s=0.2)
        except TimeoutError:
            raise AssertionError(f"wanted {reason} with {parts}, is {await self.said()}") from None

    async def training(self) -> Object | None:
        """The TransferStage that trains."""
        stages = await self._experiments.stages()
        return next((one for one in stages if one["spec"]["kind"] == "train"), None)

    async def running(self, attempt: int) -> Object:
        """The training, once the pod of an attempt of it runs."""

        async def check() -> Object | None:
            stage = await self.training()
            there = stage is not None and (stage["metadata"]["name"], str(attempt)) in self.live.values()
            return stage if there else None

        return await eventually(check, within_s=WITHIN_S, every_s=0.1)

    async def jobs(self, **labels: str) -> list[Object]:
        """Those that have these labels of ours (kind="train")."""
        wanted = {f"xstilts.dev/{name}": value for name, value in labels.items()}
        jobs = await self._experiments.jobs()
        return [job for job in jobs if wanted.items() <= job["metadata"].get("labels", {}).items()]

    async def workloads(self) -> dict[str, Object]:
        """By the name of their Job."""
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/workloads"
        listed = (await self.api.get(path))["items"]
        return {one["metadata"]["ownerReferences"][0]["name"]: one for one in listed}

    async def holding(self, gpus: int) -> None:
        """Wait until so many GPUs are in use."""

        async def check() -> bool:
            return await self.gpus_in_use() == gpus

        await eventually(check)

    async def gpus_in_use(self) -> int:
        """As Kueue counts them, a little late."""
        queue = await self.api.get(f"/apis/{API_VERSION}/clusterqueues/{self.namespace}")
        flavors = queue.get("status", {}).get("flavorsReservation", ())
        used = {one["name"]: one["total"] for each in flavors for one in each["resources"]}
        return int(used.get(GPU, "0"))

    async def free(self, *, jobs: int) -> None:
        """Wait until no GPU is in use, no pod is there, and only so many Jobs with their Workloads."""
        last: tuple[object, ...] = ()

        async def check() -> bool:
            nonlocal last
            pods = (await self.api.get(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector=STAGE))[
                "items"
            ]
            made = {job["metadata"]["name"] for job in await self.jobs()}
            last = (len(pods), made, set(await self.workloads()), await self.gpus_in_use())
            return last == (0, made, made, 0) and len(made) == jobs

        try:
            await eventually(check, within_s=WITHIN_S, every_s=0.2)
        except TimeoutError:
            raise AssertionError(f"pods, Jobs, Workloads and GPUs that are left: {last}") from None

    # -- within -------------------------------------------------------------------------------------------------

    def player(self) -> Player:
        """Lookups and reports answer at once; stages when they may; on SIGTERM a stage saves and exits with 42."""
        stopped = Outcome(EXIT_INTERRUPTED, after_seconds=1)
        return answering(self.api, self.namespace, self._when_it_may, seconds=0, stopped=stopped)

    async def record(self) -> None:
        """See which pods run together, until cancelled."""
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        async for kind, pod in self.api.watch(pods, labelSelector=STAGE, resourceVersion="0"):
            labels, uid = pod["metadata"]["labels"], pod["metadata"]["uid"]
            over = kind == "DELETED" or pod["status"].get("phase") in {"Succeeded", "Failed"}
            if over:
                self.live.pop(uid, None)
            elif pod["status"].get("phase") == "Running":
                self.live[uid] = (labels[STAGE], labels[ATTEMPT])
            if len({attempt for stage, attempt in self.live.values() if stage == labels[STAGE]}) > 1:
                self.doubled.append(labels[STAGE])

    async def _when_it_may(self, labels: Labels) -> None:
        if STAGE in labels:
            await self.may_end.wait()


@pytest.fixture
async def team(cluster: ControlPlane, api: Api, namespace: str, tmp_path: Path) -> AsyncIterator[Team]:
    team = Team(api, cluster, namespace)
    async with working(team, cluster, tmp_path):
        yield team
    assert team.doubled == []


@asynccontextmanager
async def working(team: Team, cluster: Cluster, folder: Path) -> AsyncIterator[None]:
    recording = asyncio.create_task(team.record())
    try:
        async with (
            playing(team.player()),
            operating(cluster, team.namespace, folder, settings={"kueue": True}),
        ):
            yield
    finally:
        recording.cancel()


def managers_of(obj: Object, *path: str) -> set[str]:
    """Who has written a field last."""
    found = set()
    for entry in obj["metadata"]["managedFields"]:
        fields: Any = entry.get("fieldsV1", {})
        for name in path:
            fields = fields.get(f"f:{name}") if fields is not None else None
        if fields is not None:
            found.add(entry["manager"])
    return found


async def test_what_waits_says_why_and_runs_to_the_end_when_there_is_room(team: Team) -> None:
    await team.submit()
    await team.saying("LookingUp", f"waits in queue {QUEUE}", "LocalQueue", "doesn't exist")
    team.give(cpu=100, gpus=0)
    team.open()
    message = await team.saying("Queued", f"waits in queue {QUEUE}", "insufficient", GPU)
    stage = await team.training()
    assert stage is not None
    assert (stage["status"]["state"], stage["status"]["reason"]) == ("Active", "Queued")
    assert stage["status"]["message"] in message
    (job,) = await team.jobs(kind="train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == QUEUE
    assert job["spec"]["suspend"] is True

    team.give(gpus=1)
    await team.running(attempt=1)
    assert (await team.saying("Running", "1 run")) is not None
    team.may_end.set()
    await team.saying("Completed")
    for job in await team.jobs():
        assert job["spec"]["suspend"] is False
        assert job["spec"]["template"]["spec"]["nodeSelector"] == POOL
        assert managers_of(job, "spec", "suspend") == {"kueue"}
        assert managers_of(job, "spec", "template", "spec", "nodeSelector") == {"kueue"}
    assert len(await team.jobs()) == 4  # the lookup, two stages and the report
    await team.holding(gpus=0)


async def test_a_queue_that_is_not_there_is_left_for_the_one_that_is_named_instead(team: Team) -> None:
    team.give(gpus=0)
    team.open()
    await team.submit(queue="resaerch")
    await team.saying("LookingUp", "waits in queue resaerch")
    await team.edit(queueName=QUEUE)
    await team.saying("Queued", f"waits in queue {QUEUE}", GPU)
    await team.edit(queueName="resaerch")
    await team.saying("Queued", "waits in queue resaerch")
    await team.edit(queueName=QUEUE)
    team.give(gpus=1)
    team.may_end.set()
    await team.saying("Completed")
    stage = await team.training()
    assert stage is not None
    assert "failures" not in stage["status"]


async def test_a_stage_that_is_preempted_goes_on_as_another_attempt_that_does_not_count(team: Team) -> None:
    team.give(gpus=1)
    team.open()
    await team.submit()
    await team.running(attempt=1)
    team.rival()
    message = await team.saying("Queued", GPU)
    assert "train" in message
    stage = await team.training()
    assert stage is not None
    assert stage["status"]["attempt"]["number"] == 2
    assert stage["status"]["resumes"] == 1
    assert "failures" not in stage["status"]
    assert stage["status"]["lastFailure"]["reason"] == "Preempted"
    assert len(await team.jobs(kind="train")) == 1
    assert team.live == {}

    await team.api.delete(
        f"/apis/batch/v1/namespaces/{team.namespace}/jobs/rival", propagationPolicy="Foreground"
    )
    await team.running(attempt=2)
    team.may_end.set()
    await team.saying("Completed")


async def test_what_is_suspended_while_it_runs_leaves_its_place_and_takes_one_again(team: Team) -> None:
    team.give(gpus=1)
    team.open()
    await team.submit()
    await team.running(attempt=1)
    await team.holding(gpus=1)
    await team.edit(suspend=True)
    await team.saying("Suspended")
    await team.free(jobs=1)  # the lookup, which has ended
    await team.edit(suspend=False)
    await team.running(attempt=2)
    team.may_end.set()
    await team.saying("Completed")


async def test_what_is_deleted_while_it_runs_leaves_nothing(team: Team) -> None:
    team.give(gpus=1)
    team.open()
    await team.submit()
    await team.running(attempt=1)
    await team.delete()
    await team.free(jobs=0)
    assert await team.training() is None


@pytest.mark.usefixtures("managing_all")
async def test_where_every_job_is_managed_cpu_jobs_get_through_the_same_queue(team: Team) -> None:
    team.give(gpus=1)
    team.open()
    team.may_end.set()
    await team.submit(queue=None)
    await team.saying("LookingUp", "spec.queueName names no queue")
    await team.edit(queueName=QUEUE)
    await team.saying("Completed")
    kinds = {job["metadata"]["labels"][KIND] for job in await team.jobs()}
    assert kinds == {"lookup", "train", "evaluate", "report"}
    assert len(await team.workloads()) == 4


@pytest.mark.usefixtures("managing_all")
async def test_where_every_job_is_managed_the_default_queue_takes_those_that_name_none(team: Team) -> None:
    team.give(gpus=1)
    team.open("default")
    team.may_end.set()
    await team.submit(queue=None)
    await team.saying("Completed")
