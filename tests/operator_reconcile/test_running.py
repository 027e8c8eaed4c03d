"""What happens while an experiment runs: suspension, deletion, deadlines, budgets, queues, lost things."""

from __future__ import annotations

import pytest

from operator_reconcile.world import End, World, under_way, usage
from xstilts_operator.actions import (
    ApplyStatus,
    CreateJob,
    Delete,
    Reference,
    Resource,
    Seen,
    SetOwners,
)
from xstilts_operator.reconcile.attempts import POD_GRACE_SECONDS
from xstilts_operator.reconcile.report import TOLD_AFTER_SECONDS
from xstilts_operator.routing import Key


@pytest.fixture
def world():
    return World()


def paid(world: World) -> int:
    return sum(seconds for stage in world.stages().values() for seconds in usage(stage).values())


def test_suspension_stops_what_runs_and_charges_it_once(world):
    under_way(world)
    assert len(world.running()) == 3
    world.tick(100)
    world.edit(suspend=True)
    world.settle()
    assert world.running() == []
    assert world.said()[1] == "Suspended"
    assert paid(world) == 300
    assert {one["status"]["reason"] for one in world.stages().values() if "status" in one} == {"Suspended"}
    world.settle()
    assert paid(world) == 300
    world.edit(suspend=False)
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert paid(world) == 300 + 7 * 60
    assert len(world.jobs_made) == len(set(world.jobs_made))


@pytest.mark.parametrize("what", ["lookup", "report"])
def test_suspension_stops_its_own_jobs_too_and_they_are_made_again(world, what):
    world.submit()
    world.settle()
    if what == "report":
        world.start_pods()
        world.answer()
        for _ in range(4):  # a training, another, evaluations
            world.settle()
            world.start_pods()
            for job in world.running():
                world.finish(job)
    world.settle()
    world.start_pods()
    (name,) = [job for job in world.names(Resource.JOB) if f"-{what}" in job]
    world.tick(TOLD_AFTER_SECONDS)
    world.settle()
    assert what != "report" or world.status()["report"] == {"state": "Running"}
    world.edit(suspend=True)
    (stop,) = [
        one
        for one in world.decide(Key(Resource.EXPERIMENT, "team", "grid"), world.now).actions
        if isinstance(one, Delete)
    ]
    assert [(one.reference.name, one.generation) for one in stop.rests_on] == [("grid", 2)]
    world.settle()
    assert name not in world.names(Resource.JOB)
    assert world.said()[1] == "Suspended"
    assert "report" not in world.status()
    world.edit(suspend=False)
    world.settle()
    assert world.jobs_made.count(name) == 2
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert world.jobs_made.count(name) == 2


def test_past_its_deadline_its_lookup_goes(world):
    world.submit(activeDeadlineSeconds=100)
    world.settle()
    world.start_pods()
    world.tick(100)
    world.settle()
    assert world.said()[:2] == ("False", "DeadlineExceeded")
    assert world.names(Resource.JOB) == []


def test_the_own_clock_stands_in_suspension(world):
    under_way(world, activeDeadlineSeconds=1000)
    world.tick(400)
    world.edit(suspend=True)
    world.settle()
    world.tick(5000)
    world.settle()
    assert world.status()["activeSeconds"] == 400
    assert "activeSince" not in world.status()
    world.edit(suspend=False)
    world.settle()
    world.start_pods()
    world.tick(599)
    world.settle()
    assert world.said()[1] == "Running"
    world.tick(1)
    world.settle()
    assert world.said()[:2] == ("False", "DeadlineExceeded")
    assert world.running() == []
    assert "completionTime" in world.status()


def test_past_its_deadline_it_has_ended_once_its_attempts_have(world):
    under_way(world, activeDeadlineSeconds=1000)
    world.tick(1000)
    world.reconcile(Resource.EXPERIMENT, "grid")
    assert world.said()[:2] == ("Unknown", "DeadlineExceeded")
    assert "completionTime" not in world.status()
    world.settle()
    assert world.said()[:2] == ("False", "DeadlineExceeded")
    assert "completionTime" in world.status()
    assert world.status()["activeSeconds"] == 1000
    assert [one.type for one in world.events if one.reason == "DeadlineExceeded"].count("Warning") == 1


def writes(world: World, resource: Resource, name: str) -> list[ApplyStatus]:
    decision = world.decide(Key(resource, "team", name), world.now)
    return [one for one in decision.actions if isinstance(one, ApplyStatus)]


def test_an_attempt_begins_while_the_evaluation_that_needs_it_is_still_missing(world):
    world.submit()
    world.settle()
    world.start_pods()
    world.answer()
    stages = {one["metadata"]["name"]: one for one in world.stages().values()}
    begun = [one for one in writes(world, Resource.EXPERIMENT, "grid") if one.target.name in stages]
    assert len(begun) == 3
    ways = {one.target.name: [seen.reference.name for seen in one.rests_on] for one in begun}
    for name, way in ways.items():
        for parent, child in zip([name, *way], way, strict=False):
            assert parent in stages[child]["spec"]["parentStages"]
        assert stages[[name, *way][-1]]["spec"]["kind"] == "evaluate"  # of itself the version is checked
    assert max(map(len, ways.values())) > 0
    for one in begun:
        for seen in one.rests_on:
            assert seen.version == stages[seen.reference.name]["metadata"]["resourceVersion"]


def test_a_stop_rests_on_those_who_need_the_stage_and_on_those_who_are_not_known(world):
    under_way(world, "first", "second")
    name = world.stage_of(world.running()[0])["metadata"]["name"]
    for one in ("first", "second"):
        world.edit(one, suspend=True)
    (stop,) = writes(world, Resource.STAGE, name)
    assert stop.status["reason"] == "Suspended"
    assert [(one.reference.name, one.generation) for one in stop.rests_on] == [("first", 2), ("second", 2)]
    stage = world.get(Resource.STAGE, name)
    attempt = {**stage["status"]["attempt"], "experiment": "new", "experimentUID": "its"}
    world.scribble(Resource.STAGE, name, {**stage["status"], "attempt": attempt})
    (stop,) = writes(world, Resource.STAGE, name)
    assert stop.rests_on[-1] == Seen(Reference(Resource.EXPERIMENT, "team", "new", "its"), "")
    world.scribble(Resource.STAGE, name, {**stage["status"], "attempt": {**attempt, "experiment": "../a/b"}})
    (stop,) = writes(world, Resource.STAGE, name)
    assert len(stop.rests_on) == 2  # nothing can have that name


def test_an_owner_that_is_not_known_must_be_gone_to_be_left_out(world):
    under_way(world, "first", "second")
    name = next(iter(world.stages().values()))["metadata"]["name"]
    uid = world.get(Resource.EXPERIMENT, "first")["metadata"]["uid"]
    world.lose(Resource.EXPERIMENT, "first")
    (action,) = world.decide(Key(Resource.STAGE, "team", name), world.now).actions
    assert isinstance(action, SetOwners)
    assert action.rests_on == (Seen(Reference(Resource.EXPERIMENT, "team", "first", uid), ""),)


def test_shared_stages_go_on_for_the_others(world):
    under_way(world, "first", "second")
    jobs = world.running()
    assert jobs
    world.edit("first", suspend=True)
    world.settle()
    assert world.running() == jobs
    world.remove("first")
    world.settle()
    assert world.running() == jobs
    for stage in world.stages().values():
        assert [owner["name"] for owner in stage["metadata"]["ownerReferences"]] == ["second"]
    world.play()
    assert world.said("second")[:2] == ("True", "Completed")
    assert world.status("second")["gpuHours"]["saved"] != "0.00"


def test_an_experiment_that_goes_takes_its_stages_with_it(world):
    under_way(world)
    world.remove()
    world.settle()
    assert [world.names(kind) for kind in (Resource.STAGE, Resource.JOB, Resource.POD)] == [[], [], []]


def test_one_that_is_suspended_from_the_start_is_not_accepted_yet(world):
    world.submit(suspend=True)
    world.settle()
    assert world.said()[1] == "Suspended"
    assert world.names(Resource.CONFIG_MAP) == []
    assert "startTime" not in world.status()


def test_parallelism_is_kept(world):
    under_way(world, parallelism=2)
    assert len(world.running()) == 2
    world.finish(world.running()[0])
    world.settle()
    world.start_pods()
    assert len(world.running()) == 2


def test_a_spent_budget_begins_nothing_and_stops_nothing(world):
    under_way(world, parallelism=2, budget={"gpuHours": 1})
    world.tick(3600)
    first, second = world.running()
    world.finish(first, End(seconds=3600))
    world.settle()
    assert world.running() == [second]
    assert world.said()[1] == "BudgetSpent"
    assert "1 still run" in world.said()[2]
    world.edit(budget={"gpuHours": 100})
    world.play()
    assert world.said()[:2] == ("True", "Completed")


@pytest.mark.parametrize("watched", [True, False], ids=["seen", "while no operator ran"])
def test_a_job_that_was_deleted_by_hand_is_continued_and_paid(world, watched):
    under_way(world)
    world.tick(500)
    name = world.running()[0]
    stage = world.stage_of(name)["metadata"]["name"]
    for pod in world.cache.pods_of_job("team", name):
        world.lose(Resource.POD, pod["metadata"]["name"])
    world.lose(Resource.JOB, name)
    if not watched:
        told = {"progress": {"attempt": 1, "percent": 7}}
        world.scribble(Resource.STAGE, stage, world.get(Resource.STAGE, stage)["status"] | told)
        world.restart()
    decision = world.reconcile(Resource.STAGE, stage)
    assert not [action for action in decision.actions if isinstance(action, CreateJob)]
    (end,) = [action for action in decision.actions if isinstance(action, ApplyStatus)]
    assert end.rests_on == (Seen(Reference(Resource.JOB, "team", name), ""),)  # it is not only unheard of
    status = world.get(Resource.STAGE, stage)["status"]
    assert (status["state"], status["lastFailure"]["reason"]) == ("Waiting", "JobDeleted")
    assert (status.get("failures"), status["resumes"]) == (None, 1)
    assert list(usage(world.get(Resource.STAGE, stage)).values()) == ([500] if watched else [])
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert len(world.jobs_made) == len(set(world.jobs_made))


@pytest.mark.parametrize("gpus", [0, 1])
def test_an_attempt_that_has_worked_for_long_has_moved_although_its_pod_is_gone(world, gpus):
    under_way(world, parallelism=1, resources={"gpus": gpus})
    for number in range(1, 6):
        (name,) = world.running()
        assert name.endswith(f"-{number}")
        world.tick(1200)
        world.lose(Resource.POD, f"{name}-0")
        world.end_job(name, complete=False)
        world.settle()
        world.tick(POD_GRACE_SECONDS)
        world.settle()
        world.start_pods()
        world.settle()
    status = world.stage_of(name)["status"]
    assert (status["state"], status["resumes"]) == ("Active", 5)
    assert "stalledResumes" not in status


def test_an_attempt_waits_for_the_pods_of_the_one_before(world):
    under_way(world, parallelism=1)
    world.lingering = True
    world.edit(suspend=True)
    world.settle()
    world.edit(suspend=False)
    world.settle()
    begun = [name for name in world.jobs_made if name.endswith("-2")]
    assert begun == []
    world.lingering = False
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert len([name for name in world.jobs_made if name.endswith("-2")]) == 1


def test_a_job_that_failed_is_not_judged_while_a_pod_of_it_runs(world):
    under_way(world, parallelism=1)
    (name,) = world.running()
    stage = world.stage_of(name)["metadata"]["name"]
    world.end_job(name, complete=False)
    for _ in range(3):
        world.settle()
        world.tick(600)
    assert world.get(Resource.STAGE, stage)["status"]["state"] == "Active"
    world.end_pod(f"{name}-0", End(64))
    world.settle()
    assert world.get(Resource.STAGE, stage)["status"]["state"] == "Failed"


def test_the_service_of_several_nodes_goes_with_their_job(world):
    under_way(world, resources={"gpus": 1, "nodes": 2})
    training = [name for name in world.running() if name.startswith("train")]
    assert training
    assert sorted(world.names(Resource.SERVICE)) == sorted(training)  # and none of a single pod
    for name in training:
        stage = world.stage_of(name)["metadata"]["name"]
        assert world.writes[stage] == ["create", "status", "job"]
        world.finish(name)
    world.settle()
    for name in training:
        world._collect(Resource.JOB, world.get(Resource.JOB, name))  # after its time
    assert not set(training) & set(world.names(Resource.SERVICE))


@pytest.mark.parametrize(("its", "all_of_them"), [(500, None), (None, 500), (500, 5)])
def test_after_its_end_an_experiment_goes_in_time(world, its, all_of_them):
    world.settings = world.settings.model_copy(update={"ttl_seconds_after_finished": all_of_them})
    world.restart()
    world.submit(**({"ttlSecondsAfterFinished": its} if its else {}))
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    left = world.reconcile(Resource.EXPERIMENT, "grid").again_in
    assert 0 < left <= 500
    world.tick(left)
    world.reconcile(Resource.EXPERIMENT, "grid")
    assert world.names(Resource.EXPERIMENT) == []
