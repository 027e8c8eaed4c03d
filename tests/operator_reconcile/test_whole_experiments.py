"""Experiments run to their end, decision by decision."""

from __future__ import annotations

from datetime import timedelta

import pytest

from operator_reconcile.world import End, World, usage
from xstilts.stage import Result, StageFailure
from xstilts_operator.actions import Decision, Resource
from xstilts_operator.tolerant import stamp


@pytest.fixture
def world():
    return World()


def test_an_experiment_runs_to_its_end(world):
    world.submit()
    world.play()
    status, reason, message = world.said()
    assert (status, reason) == ("True", "Completed")
    assert message == "7 of 7 stages are done; the report is reports/grid/report.html"
    assert set(world.states().values()) == {"Succeeded"}
    assert world.status()["counts"] == {
        "total": 7, "succeeded": 7, "cached": 0, "running": 0, "queued": 0, "pending": 0, "failed": 0, "blocked": 0,
    }  # fmt: skip
    assert world.status()["progressPercent"] == 100
    assert world.status()["gpuHours"] == {"spent": "0.12", "saved": "0.00"}  # 7 stages of a minute
    assert world.status()["report"] == {"state": "Written", "path": "reports/grid/report.html"}
    assert "completionTime" in world.status()


def test_a_stage_that_goes_well_costs_four_writes(world):
    world.submit()
    world.play()
    for stage in world.names(Resource.STAGE):
        assert world.writes[stage] == ["create", "status", "job", "status"]
        assert world.writes[f"{stage}-1"] == ["create"]


def test_results_are_summed_up(world):
    world.submit()
    world.play()
    rows = world.status()["results"]
    assert [(row["target"], row["intermediate"]) for row in rows] == [
        ("xnli", "none"), ("xnli", "squad"), ("tatoeba", "none"), ("tatoeba", "squad"),
    ]  # fmt: skip
    assert rows[1] == {
        "model": "small", "intermediate": "squad", "target": "xnli", "score": "50.0", "seeds": 1,
        "delta": "0.0", "gap": "0.0", "worst": rows[1]["worst"],
    }  # fmt: skip
    assert world.status()["best"].startswith("xnli 50.0 small/")


def test_a_swept_learning_rate_is_a_training_a_rate_and_one_evaluation(world):
    swept = {"match": {"phase": "target"}, "sweep": {"learningRate": ["1e-5", "3e-5"]}}
    world.submit(training={"overrides": [swept]})
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    # beside 7 stages without the sweep: another training of xnli after none, and another after squad
    assert world.status()["counts"]["succeeded"] == 9
    assert {title for title in world.stages("train") if "xnli" in title} == {
        f"train xnli after {intermediate} on small, seed 1, lr {rate}"
        for intermediate in ("none", "squad")
        for rate in ("1e-5", "3e-5")
    }
    evaluations = [stage for stage in world.stages("evaluate").values() if "xnli" in stage["spec"]["title"]]
    assert len(evaluations) == 2
    rows = [row for row in world.status()["results"] if row["target"] == "xnli"]
    assert [row["intermediate"] for row in rows] == ["none", "squad"]


def test_what_the_store_holds_is_not_run(world):
    world.submit("first")
    world.play()
    keys = {stage["spec"]["key"]: 61.0 for stage in world.stages("evaluate").values()}
    again = World(store=keys)
    again.submit("second")
    again.play()
    assert again.said("second")[:2] == ("True", "Completed")
    assert again.running() == []
    assert [name for name in again.jobs_made if "lookup" not in name and "report" not in name] == []
    assert {row["score"] for row in again.status("second")["results"]} == {"61.0"}
    assert again.status("second")["counts"]["cached"] == 7
    assert again.status("second")["gpuHours"] == {"spent": "0.00", "saved": "0.40"}  # 4 of six minutes
    trainings = again.stages("train").values()
    assert all("status" not in stage for stage in trainings)  # nothing needs them: not even a write


def test_two_experiments_share_what_both_need(world):
    first, second = world.submit("first"), world.submit("second", seeds=[1, 2])
    world.play()
    assert world.said("first")[:2] == world.said("second")[:2] == ("True", "Completed")
    assert len(world.jobs_made) == len(set(world.jobs_made))
    stages = world.stages()
    jobs = [name for name in world.jobs_made if "lookup" not in name and "report" not in name]
    assert len(jobs) == len(stages) == 13
    shared = [one for one in stages.values() if len(one["metadata"]["ownerReferences"]) == 2]
    assert len(shared) == 7
    for stage in stages.values():
        (paid,) = usage(stage).items()
        assert paid[1] == 60
        assert paid[0] in {first, second}
    hours = [world.status(name)["gpuHours"] for name in ("first", "second")]
    assert {one["spent"] for one in hours} | {one["saved"] for one in hours} >= {"0.12"}


def test_a_failure_fails_only_its_descendants(world):
    world.submit()
    world.play(lambda stage: End(64) if stage["spec"]["title"] == "train squad on small, seed 1" else End())
    assert world.said()[:2] == ("False", "PartlyFailed")
    assert "1 of 7 stages failed, 3 could not run: train squad on small, seed 1" in world.said()[2]
    states = world.states()
    assert sorted(states.values()) == ["Failed", "Pending", "Pending", "Pending", *["Succeeded"] * 3]
    assert world.status()["counts"]["blocked"] == 3
    for title, stage in world.stages().items():
        if states[title] == "Pending":
            assert "after squad" in title
            assert stage["status"]["reason"] == "ParentFailed"
    assert len(world.status()["results"]) == 2
    assert world.status()["report"]["state"] == "Written"


def test_retry_failed_at_tries_failed_stages_again(world):
    world.submit()
    world.play(lambda stage: End(64) if stage["spec"]["title"].startswith("train squad") else End())
    world.tick(100)
    world.edit(retryFailedAt=stamp(world.now))
    world.settle()
    assert world.said()[:2] == ("Unknown", "Running")
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    attempts = [stage["status"]["attempt"]["number"] for stage in world.stages().values()]
    assert sorted(attempts) == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("ended", [False, True])
def test_a_time_that_is_to_come_is_waited_for(world, ended):
    """What fails before it is before it, however often it has been tried again."""

    def invalid(stage) -> End:
        return End(64) if stage["spec"]["title"].startswith("train squad") else End()

    when = world.now + timedelta(hours=8)
    at = {"retryFailedAt": stamp(when)}
    world.submit(**({} if ended else at))
    world.play(invalid)
    world.edit(**at)
    world.settle()
    assert world.said()[:2] == ("Unknown", "WaitingForStages")
    assert (
        f"what failed is tried again at {at['retryFailedAt']} (spec.retryFailedAt): 1 of 7" in world.said()[2]
    )
    assert world.reconcile(Resource.EXPERIMENT, "grid") == Decision((), again_in=(when - world.now).seconds)
    world.now = when
    world.play(invalid)
    assert world.said()[:2] == ("False", "PartlyFailed")
    assert world.stages()[SQUAD]["status"]["attempt"]["number"] == 2


SQUAD = "train squad on small, seed 1"


def without_its_parent(stage) -> End:
    """It has not found its model in the store, or that was damaged."""
    error = StageFailure(message="it was damaged and is set aside", parent=stage["spec"]["parents"]["model"])
    return End(1, message=Result(key=stage["spec"]["key"], error=error).model_dump_json(by_alias=True))


def test_a_stage_whose_output_is_gone_runs_again_before_what_needs_it(world):
    # one after the other: two outputs are gone
    missing = [f"{kind} xnli after squad on small, seed 1" for kind in ("evaluate", "train")]
    evaluation, training = missing

    def end(stage) -> End:
        title = stage["spec"]["title"]
        if missing and title == missing[-1]:
            missing.pop()
            return without_its_parent(stage)
        return End()

    world.submit()
    world.play(end)
    assert world.said()[:2] == ("True", "Completed")
    attempts = {title: one["status"]["attempt"]["number"] for title, one in world.stages().items()}
    again = {title: number for title, number in attempts.items() if number > 1}
    assert again == {SQUAD: 2, training: 3, evaluation: 2}
    assert len(world.jobs_made) == len(set(world.jobs_made))


def test_an_output_that_is_never_found_is_made_again_only_so_often(world):
    world.submit()
    world.play(lambda stage: without_its_parent(stage) if "after squad" in stage["spec"]["title"] else End())
    assert world.said()[:2] == ("False", "PartlyFailed")
    runs = [stage["status"]["attempt"]["number"] for title, stage in world.stages().items() if title == SQUAD]
    assert runs <= [3]
    (failed,) = {
        one["status"]["lastFailure"]["reason"]
        for one in world.stages().values()
        if one["status"]["state"] == "Failed"
    }
    assert failed == "ParentDamaged"


def test_a_new_experiment_tries_an_inherited_failure_once(world):
    world.submit("first")
    world.play(lambda stage: End(64) if stage["spec"]["title"].startswith("train squad") else End())
    made = len(world.jobs_made)
    world.submit("second")
    world.play(lambda stage: End(64) if stage["spec"]["title"].startswith("train squad") else End())
    assert world.said("first")[1] == world.said("second")[1] == "PartlyFailed"
    again = [name for name in world.jobs_made[made:] if name.startswith("train")]
    assert len(again) == 1
    assert again[0].endswith("-2")


def test_a_grid_that_grows_keeps_what_it_has(world):
    world.submit()
    world.play()
    made = list(world.jobs_made)
    assert world.asked == 7
    world.edit(seeds=[1, 2])
    world.play()
    assert world.asked == 13  # what is new alone
    assert world.said()[:2] == ("True", "Completed")
    assert world.status()["counts"]["total"] == 13
    new = [name for name in world.jobs_made[len(made) :] if "lookup" not in name and "report" not in name]
    assert len(new) == 6
    assert {row["seeds"] for row in world.status()["results"]} == {0, 2}


def test_an_operator_that_was_upgraded_changes_no_key(world):
    world.submit()
    world.settle()
    world.restart()
    world.edit(parallelism=3)
    world.play()
    assert len(world.names(Resource.CONFIG_MAP)) == 1
    assert world.said()[:2] == ("True", "Completed")
