"""What a person is told of an experiment: what comes next, and why it goes no further."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from operator_reconcile.world import End, World, source, under_way, usage
from xstilts_operator.actions import CreateJob, Decision, Resource
from xstilts_operator.reconcile.hindrance import LOST_SECONDS, PASSES_SECONDS, UNPREPARED_SECONDS
from xstilts_operator.reconcile.report import TOLD_AFTER_SECONDS
from xstilts_operator.routing import Key
from xstilts_operator.tolerant import mapping, stamp


@pytest.fixture
def world():
    return World()


def until_its_report(world):
    """Run an experiment until its stages are done and its report is under way."""
    under_way(world)
    for _ in range(3):
        for job in world.running():
            world.finish(job)
        world.settle()
        world.start_pods()


def test_what_is_accepted_is_frozen_first_and_says_what_comes_next(world):
    world.submit()
    kept, told, _ = world.reconcile(Resource.EXPERIMENT, "grid").actions
    assert kept.resource is Resource.CONFIG_MAP
    assert told.status["plan"]["name"] == kept.body["metadata"]["name"]
    assert "startTime" in told.status
    assert world.said() == ("Unknown", "LookingUp", "asks the store for 7 stages")
    next_one = world.reconcile(Resource.EXPERIMENT, "grid").actions
    assert {one.resource for one in next_one} == {Resource.STAGE, Resource.JOB}


def test_a_small_experiment_is_told_of_in_three_writes(world):
    tasks = [{"name": "tatoeba", "data": source("tatoeba")}]
    under_way(world, tasks=tasks, targets=[{"task": "tatoeba"}], intermediates=[])
    (job,) = world.running()
    world.finish(job)
    world.settle()
    world.start_pods()
    world.tick(TOLD_AFTER_SECONDS - 1)
    world.answer()
    world.settle()
    assert world.said()[:2] == ("True", "Completed")
    assert world.status()["report"]["state"] == "Written"
    assert world.writes["grid"].count("status") == 3  # accepted, begun, ended


def test_a_report_that_takes_its_time_is_told_of(world):
    until_its_report(world)
    assert set(world.states().values()) == {"Succeeded"}
    assert world.status()["counts"]["succeeded"] < 7
    world.tick(TOLD_AFTER_SECONDS - 1)
    assert world.reconcile(Resource.EXPERIMENT, "grid") == Decision((), again_in=1.0)
    world.tick(1)
    world.settle()
    assert world.said() == ("Unknown", "Running", "the report is written")
    assert world.status()["counts"]["succeeded"] == 7


def test_an_edit_is_told_although_the_report_is_under_way(world):
    until_its_report(world)
    assert "report" not in world.status()
    world.edit(parallelism=1)
    world.settle()
    assert world.status()["observedGeneration"] == 2
    assert world.status()["report"] == {"state": "Running"}


def test_a_queued_job_is_told_with_the_reason_of_its_workload(world):
    under_way(world, queueName="gpu-queue")
    (lookup,) = world.names(Resource.JOB)
    for name in [lookup]:
        job = world.get(Resource.JOB, name)
        world._replace(Resource.JOB, {**job, "spec": {**job["spec"], "suspend": False}})
    world.start_pods()
    world.answer()
    world.settle()
    world._put(
        Resource.WORKLOAD,
        {
            "metadata": {
                "name": "w", "namespace": "team",
                "ownerReferences": [
                    {"uid": world.get(Resource.JOB, name)["metadata"]["uid"], "name": name}
                    for name in world.names(Resource.JOB) if name != lookup
                ],
            },
            "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": "no GPU is free"}]},
        },
    )  # fmt: skip
    world.tick(30)
    world.settle()
    assert world.said() == ("Unknown", "Queued", world.said()[2])
    assert "waits in queue gpu-queue: no GPU is free" in world.said()[2]
    assert world.status()["counts"]["queued"] == 3


def test_a_queue_without_kueue_is_told():
    world = World()
    world.settings = world.settings.model_copy(update={"kueue": False})
    world.restart()
    world.submit(queueName="gpu-queue")
    world.settle()
    assert world.said()[:2] == ("Unknown", "QueueUnavailable")
    world.edit(queueName=None)
    world.settle()
    assert world.said()[1] == "LookingUp"
    conditions = {one["type"]: one["status"] for one in world.status()["conditions"]}
    assert conditions == {"Succeeded": "Unknown", "QueueUnavailable": "False"}


def test_a_store_that_is_not_there_is_told_with_those_that_are(world):
    world.submit(store={"name": "other"})
    world.settle()
    assert world.said()[:2] == ("Unknown", "StoreUnknown")
    assert "(default)" in world.said()[2]


def test_a_lookup_that_fails_is_asked_again(world):
    world.submit()
    world.settle()
    world.start_pods()
    (name,) = world.names(Resource.JOB)
    world.finish(name, End(1))
    world.settle()
    assert world.said()[1] == "LookingUp"
    assert "it failed, and is tried again" in world.said()[2]
    world.tick(30)
    world.settle()
    assert world.jobs_made == [name, name]
    world.play()
    assert world.said()[:2] == ("True", "Completed")


def test_a_foreign_job_of_our_name_is_told(world):
    world.submit()
    world.settle()
    stage = next(one for one in world.stages().values() if not one["spec"]["parentStages"])
    name, labels = f"{stage['metadata']['name']}-1", {"xstilts.dev/kind": "other"}
    world.start_pods()
    world.answer()
    world._put(
        Resource.JOB,
        {"metadata": {"name": name, "namespace": "team", "labels": labels}, "spec": {"suspend": True}},
    )
    world.settle()
    world.tick(30)
    world.settle()
    assert world.said()[:2] == ("Unknown", "NameConflict")
    assert name in world.said()[2]
    assert name not in world.jobs_made


def test_a_condition_that_stays_keeps_its_time(world):
    under_way(world)
    (before,) = world.status()["conditions"]
    world.tick(60)
    world.finish(world.running()[0])
    world.settle()
    (after,) = world.status()["conditions"]
    assert after["message"] != before["message"]
    assert after["lastTransitionTime"] == before["lastTransitionTime"] < stamp(world.now)


def test_a_stage_whose_pods_are_refused_is_told_and_pays_nothing(world):
    world.refused = True
    under_way(world, parallelism=1)
    world.tick(PASSES_SECONDS - 1)
    world.settle()
    assert world.said()[1] == "Running"  # pods come a moment after their Job
    world.tick(1)
    world.settle()
    name = world.jobs_made[-1]
    stage = world.stage_of(name)["metadata"]["name"]
    assert world.said()[:2] == ("Unknown", "WaitingForStages")
    assert (
        f"PodsMissing: the Job {name} has 0 of 1 pods: `kubectl describe job {name}` says why"
        in world.said()[2]
    )
    world.tick(5000)
    world.edit(suspend=True)
    world.settle()
    assert usage(world.get(Resource.STAGE, stage)) == {}
    world.refused = False
    world.edit(suspend=False)
    world.play()
    assert world.said()[:2] == ("True", "Completed")


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_a_pod_that_has_ended_and_is_not_yet_counted_is_not_missing(world, how):
    under_way(world, parallelism=1)
    world.tick(600)
    job = deepcopy(world.get(Resource.JOB, world.jobs_made[-1]))
    job["status"] |= {"active": 0, "uncountedTerminatedPods": {how: ["a-pods-uid"]}}
    world._replace(Resource.JOB, job)
    world.settle()
    assert world.said()[1] == "Running"


def test_a_lookup_whose_pods_are_refused_is_told(world):
    world.submit()
    world.settle()
    assert world.reconcile(Resource.EXPERIMENT, "grid") == Decision((), again_in=PASSES_SECONDS)
    world.tick(PASSES_SECONDS)
    world.settle()
    (name,) = world.jobs_made
    assert world.said()[1] == "LookingUp"
    assert f"asks the store for 7 stages: the Job {name} has 0 of 1 pods" in world.said()[2]
    world.play()
    assert world.said()[:2] == ("True", "Completed")


def unprepare(world, job):
    """Its pod has a node, which waits for the pod's volumes."""
    (pod,) = world.cache.pods_of_job("team", job)
    scheduled = {"type": "PodScheduled", "status": "True"}
    prepared = {
        "type": "PodReadyToStartContainers",
        "status": "False",
        "lastTransitionTime": stamp(world.now),
    }
    waits = [{"name": "stage", "state": {"waiting": {"reason": "ContainerCreating"}}}]
    status = {"phase": "Pending", "conditions": [scheduled, prepared], "containerStatuses": waits}
    world.scribble(Resource.POD, pod["metadata"]["name"], status)
    return pod["metadata"]["name"]


def test_a_stage_whose_pod_gets_no_volume_is_told(world):
    world.full = True
    under_way(world, parallelism=1)
    pod = unprepare(world, world.jobs_made[-1])
    world.tick(60)
    world.settle()
    assert world.said()[1] == "Running"  # to attach a volume takes a while
    stage = world.stage_of(world.jobs_made[-1])["metadata"]["name"]
    assert world.reconcile(Resource.STAGE, stage).again_in == UNPREPARED_SECONDS - 60
    world.tick(UNPREPARED_SECONDS - 60)
    world.settle()
    assert world.said()[1] == "WaitingForStages"
    assert f"PodUnprepared: its node gives the pod {pod} no volumes or no network" in world.said()[2]


def test_a_stage_whose_node_is_lost_is_told(world):
    """Kubernetes asks for the pod's deletion, and its kubelet does not answer: the attempt has not ended."""
    under_way(world, parallelism=1)
    (found,) = world.cache.pods_of_job("team", world.jobs_made[-1])
    pod = deepcopy(found)
    pod["metadata"]["deletionTimestamp"] = stamp(world.now + timedelta(seconds=300))
    world._replace(Resource.POD, pod)
    stage = world.stage_of(world.jobs_made[-1])["metadata"]["name"]
    world.tick(300)
    assert world.reconcile(Resource.STAGE, stage) == Decision((), again_in=LOST_SECONDS)
    world.tick(LOST_SECONDS)
    world.reconcile(Resource.STAGE, stage)
    world.reconcile(Resource.EXPERIMENT, "grid")
    assert world.said()[1] == "WaitingForStages"
    assert f"NodeLost: the pod {pod['metadata']['name']} is to have ended" in world.said()[2]


def test_a_lookup_whose_pod_gets_no_volume_is_told(world):
    world.submit()
    world.settle()
    world.start_pods()
    pod = unprepare(world, world.jobs_made[-1])
    world.settle()
    assert world.reconcile(Resource.EXPERIMENT, "grid").again_in == UNPREPARED_SECONDS
    world.tick(UNPREPARED_SECONDS)
    world.settle()
    assert world.said()[1] == "LookingUp"
    assert f"its node gives the pod {pod} no volumes or no network" in world.said()[2]


def test_a_budget_counts_no_hours_in_which_pods_find_no_node(world):
    world.full = True
    under_way(world, parallelism=1, budget={"gpuHours": 1})
    world.tick(48 * 3600)
    before = len(world.jobs_made)
    world.edit(parallelism=2)
    world.settle()
    assert len(world.jobs_made) == before + 1


WORDS = 'jobs.batch "x" is forbidden: exceeded quota: none'


def test_what_the_api_server_refuses_an_experiment_is_told_and_asked_for_again(world):
    world.submit()
    key = Key(Resource.EXPERIMENT, "team", "grid")
    world.decide = replace(world.decide, refused={key: WORDS})
    decision = world.reconcile(Resource.EXPERIMENT, "grid")
    assert decision.again_in is not None
    assert world.said()[:2] == ("Unknown", "Refused")
    assert world.said()[2].endswith(WORDS)
    kept, *_ = world.reconcile(Resource.EXPERIMENT, "grid").actions  # told: it goes on
    assert kept.resource is Resource.CONFIG_MAP
    world.restart()
    world.play()
    assert world.said()[:2] == ("True", "Completed")


def test_what_the_api_server_refuses_a_stage_is_told_and_asked_for_again(world):
    world.submit()
    world.settle()
    world.start_pods()
    world.answer()
    world.reconcile(Resource.EXPERIMENT, "grid")
    stage = next(one for one in world.stages().values() if mapping(one, "status").get("state") == "Active")
    name = stage["metadata"]["name"]
    world.decide = replace(world.decide, refused={Key(Resource.STAGE, "team", name): WORDS})
    world.reconcile(Resource.STAGE, name)
    status = world.get(Resource.STAGE, name)["status"]
    assert (status["reason"], status["message"]) == ("Refused", WORDS)
    (made,) = world.reconcile(Resource.STAGE, name).actions
    assert isinstance(made, CreateJob)
    world.start_pods()
    world.restart()
    world.settle()
    assert "reason" not in world.get(Resource.STAGE, name)["status"]
