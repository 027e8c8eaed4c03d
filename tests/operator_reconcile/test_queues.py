"""Kueue's Workloads as decisions see them: what waits says why, and what Kueue stops begins again as another attempt."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from operator_reconcile.server import NAMESPACE
from operator_reconcile.world import World
from xstilts_operator.actions import Resource
from xstilts_operator.names import QUEUE_LABEL
from xstilts_operator.reconcile.attempts import Verdict, evicted
from xstilts_operator.reconcile.queues import is_misplaced
from xstilts_operator.views import view_job, view_workload

QUEUE = "gpu-queue"


class Queue:
    """Kueue, as far as it writes to Jobs and their Workloads."""

    def __init__(self, world: World) -> None:
        self.world = world

    def admit(self, name: str) -> None:
        """The Job may run."""
        self.tell(name, QuotaReserved="True", Admitted="True")
        self._suspend(name, suspend=False)
        self.world.start_pods()

    def evict(self, name: str, reason: str = "Preempted") -> None:
        """The Job is stopped: the Job controller deletes its pods."""
        self.tell(name, reason, QuotaReserved="False", Admitted="False", Evicted="True")
        self._suspend(name, suspend=True)

    def tell(self, name: str, reason: str = "", **conditions: str) -> None:
        """Set the conditions of the Job's Workload."""
        told = [
            {"type": kind, "status": status, "reason": reason, "message": f"{kind} is {status}"}
            for kind, status in conditions.items()
        ]
        known = self.world.cache.get(Resource.WORKLOAD, NAMESPACE, f"job-{name}")
        if known is not None:
            self.world.scribble(Resource.WORKLOAD, f"job-{name}", {"conditions": told})
            return
        job = self.world.get(Resource.JOB, name)["metadata"]
        owner = {"kind": "Job", "name": name, "uid": job["uid"], "controller": True}
        metadata = {"name": f"job-{name}", "namespace": NAMESPACE, "ownerReferences": [owner]}
        self.world._put(Resource.WORKLOAD, {"metadata": metadata, "status": {"conditions": told}})

    def _suspend(self, name: str, *, suspend: bool) -> None:
        job = deepcopy(self.world.get(Resource.JOB, name))
        job["spec"]["suspend"] = suspend
        self.world._replace(Resource.JOB, job)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def queue(world: World) -> Queue:
    """With an experiment of one training and its evaluation, which waits in the queue."""
    queue = Queue(world)
    world.submit(queueName=QUEUE, intermediates=[], targets=[{"task": "xnli"}])
    world.settle()
    (lookup,) = world.names(Resource.JOB)
    queue.admit(lookup)
    world.settle()
    world.answer()
    world.settle()
    return queue


def current(world: World) -> str:
    """The Job of the one stage that is Active."""
    names: list[str] = [
        job["metadata"]["name"]
        for job in world.cache.list(Resource.JOB)
        if "xstilts.dev/stage" in job["metadata"]["labels"] and "deletionTimestamp" not in job["metadata"]
    ]
    (name,) = names
    return name


def test_a_lookup_that_waits_says_why_and_in_which_queue(world: World) -> None:
    world.submit(queueName=QUEUE)
    world.settle()
    (lookup,) = world.names(Resource.JOB)
    assert "is Kueue there" in world.said()[2]
    Queue(world).tell(lookup, "Pending", QuotaReserved="False")
    world.settle()
    assert world.said()[1] == "LookingUp"
    assert f"waits in queue {QUEUE}: QuotaReserved is False" in world.said()[2]


def test_a_stage_that_is_preempted_queues_again_as_another_attempt(world: World, queue: Queue) -> None:
    first = current(world)
    queue.admit(first)
    world.settle()
    world.tick(90)
    world.lingering = True
    stage = world.stage_of(first)["metadata"]["name"]
    queue.evict(first)
    world.settle()
    status = world.get(Resource.STAGE, stage)["status"]
    assert (status["state"], status["resumes"], status.get("failures", 0)) == ("Waiting", 1, 0)
    assert status["usage"][0]["gpuSeconds"] == 90
    assert [name for name in world.jobs_made if name.startswith(stage)] == [first]  # while the old pod ends
    world.lingering = False
    world.settle()  # the old pod goes
    world.settle()
    second = current(world)
    assert world.get(Resource.STAGE, stage)["status"]["attempt"]["number"] == 2
    assert world.get(Resource.JOB, second)["spec"]["suspend"]
    queue.admit(second)
    world.settle()
    world.tick(30)
    world.finish(second)
    world.settle()
    status = world.get(Resource.STAGE, stage)["status"]
    assert (status["state"], status["usage"][0]["gpuSeconds"]) == ("Succeeded", 150)


def test_a_budget_counts_no_hours_in_a_queue(world: World) -> None:
    queue = Queue(world)
    grid = {"intermediates": [], "targets": [{"task": "xnli"}], "seeds": [1, 2, 3]}
    world.submit(queueName=QUEUE, parallelism=2, budget={"gpuHours": 10}, **grid)
    world.settle()
    (lookup,) = world.names(Resource.JOB)
    queue.admit(lookup)
    world.answer()
    world.settle()
    world.tick(20 * 3600)
    first, second = set(world.jobs_made) - {lookup}
    for name in (first, second):
        queue.admit(name)
    world.settle()
    world.finish(first)
    world.settle()
    (third,) = set(world.jobs_made) - {lookup, first, second}
    world.tick(10 * 3600)
    queue.admit(third)
    world.finish(third)
    world.settle()
    assert world.said()[1] == "BudgetSpent"  # by what the second has run since
    assert set(world.jobs_made) == {lookup, first, second, third}


def test_preemptions_are_no_lack_of_progress(world: World, queue: Queue) -> None:
    for number in range(1, 8):
        name = current(world)
        assert name.endswith(f"-{number}")
        queue.admit(name)
        world.settle()
        world.tick(5)
        queue.evict(name)
        world.settle()
    (stage,) = [one for one in world.stages().values() if one.get("status", {}).get("resumes")]
    assert stage["status"]["resumes"] == 7
    assert "stalledResumes" not in stage["status"]


@pytest.mark.parametrize("reason", ["PodsReadyTimeout", "Deactivated", "AdmissionCheck"])
def test_what_kueue_begins_again_by_itself_keeps_its_attempt(world: World, queue: Queue, reason: str) -> None:
    name = current(world)
    queue.admit(name)
    world.settle()
    world.tick(90)
    queue.evict(name, reason)
    world.settle()
    assert current(world) == name
    assert world.said()[1] == "Queued"
    assert "QuotaReserved is False" in world.said()[2]


def test_only_a_job_that_was_admitted_can_have_been_stopped() -> None:
    job = view_job({"metadata": {}, "spec": {"suspend": True}})
    conditions = [{"type": "Evicted", "status": "True", "reason": "Preempted", "message": "for another"}]
    never = view_workload({"status": {"conditions": conditions}})
    assert evicted(job, never) is None
    once = view_workload({"status": {"conditions": [*conditions, {"type": "Admitted", "status": "False"}]}})
    outcome = evicted(job, once)
    assert outcome is not None
    assert (outcome.verdict, outcome.reason, outcome.message) == (Verdict.EVICTED, "Preempted", "for another")
    running = view_job({"metadata": {}, "spec": {"suspend": False}})
    assert evicted(running, once) is None  # Kueue has yet to stop it, or has begun it again


def test_what_waits_in_a_queue_that_is_named_no_more_is_made_anew_for_the_other(
    world: World, queue: Queue
) -> None:
    first = current(world)
    world.edit(queueName="other")
    world.settle()
    world.settle()
    second = current(world)
    assert second != first
    assert world.get(Resource.JOB, second)["metadata"]["labels"][QUEUE_LABEL] == "other"
    queue.admit(second)
    world.settle()
    world.edit(queueName=QUEUE)
    world.settle()
    assert current(world) == second  # it runs
    assert (
        world.get(Resource.STAGE, world.stage_of(second)["metadata"]["name"])["status"]["state"] == "Active"
    )


def test_a_lookup_that_waits_in_another_queue_is_made_anew(world: World) -> None:
    world.submit(queueName="mispelt")
    world.settle()
    world.edit(queueName=QUEUE)
    world.settle()
    world.settle()
    (lookup,) = world.names(Resource.JOB)
    assert world.get(Resource.JOB, lookup)["metadata"]["labels"][QUEUE_LABEL] == QUEUE


def test_a_lookup_is_not_made_anew_before_kueue_has_let_go_of_the_one_before_it(world: World) -> None:
    world.submit(queueName="mispelt")
    world.settle()
    (lookup,) = world.names(Resource.JOB)
    Queue(world).tell(lookup, "Pending", QuotaReserved="False")
    world.edit(queueName=QUEUE)
    world.settle()
    world.settle()
    assert world.names(Resource.JOB) == []
    assert world.reconcile(Resource.EXPERIMENT, "grid").again_in is not None
    world.lose(Resource.WORKLOAD, f"job-{lookup}")
    world.settle()
    (again,) = world.names(Resource.JOB)
    assert again == lookup
    assert world.get(Resource.JOB, again)["metadata"]["labels"][QUEUE_LABEL] == QUEUE


@pytest.mark.parametrize(
    ("label", "wanted", "wrong"),
    [
        ("a", "a", False),
        ("a", "b", True),
        ("", "b", True),
        ("a", None, True),
        ("", None, False),
        ("default", None, False),  # Kueue's own choice
        ("default", "b", True),
    ],
)
def test_which_queue_is_the_wrong_one(label: str, wanted: str | None, *, wrong: bool) -> None:
    labels = {QUEUE_LABEL: label} if label else {}
    job = view_job({"metadata": {"labels": labels}, "spec": {"suspend": True}})
    assert is_misplaced(job, wanted) is wrong
    assert not is_misplaced(replace(job, suspended=False), wanted)
    assert not is_misplaced(replace(job, deleting=True), wanted)
