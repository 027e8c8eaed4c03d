"""`spec.store.keep` on a cluster: what a report's Job may drop, and that what is dropped runs again where it is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operator_reconcile.server import NAMESPACE
from operator_reconcile.world import End, World, usage
from xstilts.errors import EXIT_FAILED
from xstilts.stage import Kind, Result, StageFailure
from xstilts_operator.actions import Resource
from xstilts_operator.names import job_name
from xstilts_operator.reconcile.companions import LETS_GO_SECONDS
from xstilts_operator.reconcile.dropping import droppable
from xstilts_operator.views import Owner, StageState, StageView

XNLI, TATOEBA = [{"task": "xnli"}], [{"task": "tatoeba"}]


@pytest.fixture
def world():
    return World()


def keeping(keep, **spec):
    return {"store": {"name": "default", "keep": keep}, **spec}


def titles(world, keys):
    return {title for title, one in world.stages().items() if one["spec"]["key"] in keys}


def marked(world):
    """The titles of the stages whose status says that their weights were dropped."""
    return {title for title, one in world.stages().items() if one.get("status", {}).get("weightsDropped")}


def trainings(world, phase=""):
    return {title for title in world.stages("train") if phase in title}


def attempts(world):
    return {title: one["status"]["attempt"]["number"] for title, one in world.stages().items()}


def stage_jobs(world):
    return [job for job in world.jobs_made if "-plan-" not in job]


INTERMEDIATE = "train squad on small, seed 1"


@pytest.mark.parametrize("keep", ["All", "Intermediate", "Scores"])
def test_what_is_needed_no_more_is_dropped_with_the_report(world, keep):
    world.submit(**keeping(keep))
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert set(world.states().values()) == {"Succeeded"}
    every = trainings(world)
    assert INTERMEDIATE in every
    expected = {"All": set(), "Intermediate": every - {INTERMEDIATE}, "Scores": every}[keep]
    assert titles(world, world.dropped) == marked(world) == expected
    assert set(attempts(world).values()) == {1}
    for title, stage in world.stages().items():
        told = ["status"] if title in expected else []
        assert world.writes[stage["metadata"]["name"]] == ["create", "status", "job", "status", *told]
        assert ("outputsDigest" in stage["status"]) is True


def test_nothing_goes_before_all_evaluations_have_ended_or_of_one_that_failed(world):
    world.submit(**keeping("Scores"))
    bad = "evaluate xnli after squad on small, seed 1"
    world.play(lambda stage: End(64) if stage["spec"]["title"] == bad else End())
    assert world.said()[:2] == ("False", "PartlyFailed")
    assert trainings(world) - marked(world) == {"train xnli after squad on small, seed 1"}
    assert titles(world, world.dropped) == marked(world)


@pytest.mark.parametrize("order", [("All", "Scores"), ("Scores", "All"), ("Intermediate", "Scores")])
def test_the_owner_that_keeps_most_decides(world, order):
    world.submit("one", **keeping(order[0], targets=XNLI))
    world.submit("two", **keeping(order[1], targets=XNLI))
    world.play()
    gone = trainings(world) - {INTERMEDIATE} if "All" not in order else set()
    assert titles(world, world.dropped) == marked(world) == gone


def test_what_anothers_unfinished_child_needs_stays_until_that_has_ended(world):
    world.submit("one", **keeping("Scores", targets=XNLI))
    world.submit("two", **keeping("Scores", targets=[*XNLI, *TATOEBA], suspend=True))
    world.settle()
    world.edit("two", suspend=False)
    late = "evaluate tatoeba after squad on small, seed 1"
    world.play(lambda stage: None if stage["spec"]["title"] == late else End(), rounds=8)
    assert world.said("one")[:2] == ("True", "Completed")
    assert marked(world) == trainings(world) - {INTERMEDIATE}
    world.play()
    assert world.said("two")[:2] == ("True", "Completed")
    assert marked(world) == titles(world, world.dropped) == trainings(world)


def test_a_grid_that_grows_runs_what_its_new_cells_need_again_and_nothing_else(world):
    world.submit(**keeping("Scores", targets=XNLI))
    world.play()
    before = attempts(world)
    digest = world.stages()[INTERMEDIATE]["status"]["outputsDigest"]
    world.edit(targets=[*XNLI, *TATOEBA])
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    again = {title for title, number in before.items() if attempts(world)[title] > number}
    assert again == {INTERMEDIATE}
    assert world.stages()[INTERMEDIATE]["status"]["outputsDigest"] == digest
    assert marked(world) == titles(world, world.dropped) == trainings(world)
    assert "failures" not in world.stages()[INTERMEDIATE]["status"]


def test_a_new_experiment_that_shares_a_stage_runs_it_again(world):
    world.submit("one", **keeping("Scores", targets=XNLI))
    world.play()
    world.submit("two", **keeping("All", targets=TATOEBA))
    world.settle()
    world.start_pods()
    world.answer()
    world.settle()
    assert world.states()[INTERMEDIATE] == "Active"
    world.play()
    assert world.said("two")[:2] == ("True", "Completed")
    assert titles(world, world.dropped) == marked(world) == trainings(world, "xnli")
    assert attempts(world)[INTERMEDIATE] == 2


def test_the_report_of_a_grid_that_has_grown_since_drops_nothing(world):
    world.submit(**keeping("Scores", targets=XNLI))
    world.report_end = None
    world.play(rounds=8)
    assert marked(world) == trainings(world)
    (report,) = [job for job in world.names(Resource.JOB) if "-report-" in job]
    world.lingering = True
    world.edit(targets=[*XNLI, *TATOEBA])
    world.play(rounds=3)
    assert world.states()[INTERMEDIATE] == "Succeeded", "the report's pod may drop it while it ends"
    assert world.said()[1:] == (
        "WaitingForStages",
        f"{INTERMEDIATE} runs again once no report may drop its weights any more",
    )
    world.lingering = False
    world.play(lambda stage: End() if stage["spec"]["title"] == INTERMEDIATE else None, rounds=4)
    assert report not in world.names(Resource.JOB)
    world.report_end = End()
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert attempts(world)[INTERMEDIATE] == 2
    assert marked(world) == titles(world, world.dropped) == trainings(world)


def test_a_new_experiment_waits_for_the_report_that_may_drop_what_it_needs(world):
    world.submit("one", **keeping("Scores", targets=XNLI))
    world.report_end = None
    world.play(rounds=8)
    world.submit("two", **keeping("All", targets=TATOEBA))
    world.play(rounds=4)
    assert world.states()[INTERMEDIATE] == "Succeeded"
    assert world.said("two")[1] == "WaitingForStages"
    assert world.reconcile(Resource.EXPERIMENT, "two").again_in == LETS_GO_SECONDS
    world.report_end = End()
    world.play()
    assert {world.said(name)[:2] for name in ("one", "two")} == {("True", "Completed")}
    assert attempts(world)[INTERMEDIATE] == 2
    assert titles(world, world.dropped) == marked(world) == trainings(world, "xnli")


def evaluations(**spec):
    """The keys of an experiment's evaluations, from another world."""
    world = World()
    world.submit(**spec)
    world.settle()
    return {one["spec"]["key"] for one in world.stages("evaluate").values()}


def test_what_was_dropped_waits_for_the_store_to_be_asked(world):
    world.submit(**keeping("Scores", targets=XNLI))
    world.play()
    made = stage_jobs(world)
    world.store = dict.fromkeys(evaluations(targets=[*XNLI, *TATOEBA]), 50.0)
    world.edit(targets=[*XNLI, *TATOEBA])
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert stage_jobs(world) == made


def test_what_nothing_needed_yet_waits_for_the_store_to_be_asked(world):
    world.store = dict.fromkeys(evaluations(targets=[*XNLI, *TATOEBA]), 50.0)
    world.submit(targets=XNLI)
    world.play()
    world.edit(targets=[*XNLI, *TATOEBA])
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert not stage_jobs(world)


def test_a_stage_that_runs_again_is_not_taken_for_one_that_the_store_had(world):
    one = world.submit("one", **keeping("Scores", targets=XNLI))
    world.play()
    world.store = {stage["spec"]["key"]: 50.0 for stage in world.stages().values()}
    two = world.submit("two", **keeping("All", targets=TATOEBA))
    world.play()
    assert world.said("two")[:2] == ("True", "Completed")
    assert usage(world.stages()[INTERMEDIATE]) == {one: 60, two: 60}


def test_the_lookup_tells_what_was_dropped_and_only_what_is_needed_runs(world):
    world.submit("one", **keeping("Scores"))
    world.play()
    every = {one["spec"]["key"]: one for one in world.stages().values()}
    evaluation = world.stages()["evaluate xnli after squad on small, seed 1"]["spec"]["key"]
    after = World(dropped=set(world.dropped))
    after.store = dict.fromkeys(every, 50.0)
    after.submit("again", **keeping("Scores"))
    after.play()
    assert after.said("again")[:2] == ("True", "Completed")
    assert not any("attempt" in one["status"] for one in after.stages().values()), "nothing was run"
    assert all(one["status"]["cached"] for one in after.stages().values())
    assert marked(after) == trainings(after)

    missing = World(dropped=set(world.dropped))
    missing.store = dict.fromkeys(every.keys() - {evaluation}, 50.0)
    missing.submit("again", **keeping("Scores"))
    missing.play()
    assert missing.said("again")[:2] == ("True", "Completed")
    ran = {title for title, one in missing.stages().items() if "attempt" in one["status"]}
    assert ran == {
        INTERMEDIATE,
        "train xnli after squad on small, seed 1",
        "evaluate xnli after squad on small, seed 1",
    }


def test_a_stage_that_finds_its_parents_weights_gone_has_them_made_again(world):
    """Where the store drops what no status tells: another cluster, or a run on a machine, uses the same one."""
    world.submit(**keeping("All"))
    evaluation = "evaluate xnli after squad on small, seed 1"
    failed = []

    def end(stage):
        if stage["spec"]["title"] == evaluation and not failed:
            failed.append(stage)
            key = world.stages()["train xnli after squad on small, seed 1"]["spec"]["key"]
            error = StageFailure(field="parents.model", message="must have its weights, has not", parent=key)
            return End(
                EXIT_FAILED, Result(key=stage["spec"]["key"], error=error).model_dump_json(by_alias=True)
            )
        return End()

    world.play(end)
    assert world.said()[:2] == ("True", "Completed")
    assert attempts(world)["train xnli after squad on small, seed 1"] == 2


def test_an_owner_of_which_nothing_is_known_keeps_all(world):
    world.submit(**keeping("Scores"))
    world.play(lambda stage: End() if stage["spec"]["kind"] != "evaluate" else None, rounds=6)
    scene = world.decide.observatory.experiment(NAMESPACE, "grid", world.now)
    plan, stages = scene.plan, {one.key: one for one in scene.stages.values()}
    uid = scene.experiment.uid
    assert droppable(plan, stages, scene.sharing, uid) == ()
    done = {
        key: replace(one, state=StageState.SUCCEEDED) if one.kind == Kind.EVALUATE else one
        for key, one in stages.items()
    }
    every = droppable(plan, done, scene.sharing, uid)
    assert titles(world, every) == trainings(world)

    def owned(stage: StageView) -> StageView:
        return replace(stage, owners=(*stage.owners, Owner("uid-other", "other", "TransferExperiment")))

    assert droppable(plan, {key: owned(one) for key, one in done.items()}, scene.sharing, uid) == ()

    class Unreadable:
        def others(self, name):
            return {"uid-other": None}

        def stage(self, name):
            return None

    assert droppable(plan, done, Unreadable(), uid) == ()


@pytest.mark.parametrize(
    ("one", "two"),
    [("Scores", "Scores"), ("Scores", "Intermediate"), ("Intermediate", "All"), ("All", "Scores")],
)
@pytest.mark.parametrize("targets", [(XNLI, TATOEBA), ([*XNLI, *TATOEBA], TATOEBA)])
def test_whatever_two_experiments_keep_no_stage_begins_without_its_parents_weights(world, one, two, targets):
    """`World` fails a Job whose parent's weights were dropped."""
    world.submit("one", **keeping(one, targets=targets[0]))
    world.play(lambda stage: End() if "tatoeba" not in stage["spec"]["title"] else None, rounds=4)
    world.submit("two", **keeping(two, targets=targets[1]))
    world.play()
    assert {world.said(name)[:2] for name in ("one", "two")} == {("True", "Completed")}
    assert set(world.states().values()) == {"Succeeded"}
    assert titles(world, world.dropped) == marked(world)
    if "All" in (one, two):
        assert marked(world) != trainings(world)
    jobs = [job_name(stage["metadata"]["name"], 3) for stage in world.stages().values()]
    assert not set(jobs) & set(world.jobs_made), "nothing runs again and again"
    assert len(world.names(Resource.EXPERIMENT)) == 2
