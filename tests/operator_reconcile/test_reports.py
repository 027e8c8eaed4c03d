"""Reports that fail: they are tried again for half an hour from when they can be written, and when a person says so."""

from __future__ import annotations

import pytest

from operator_reconcile.world import End, World
from xstilts_operator.actions import Resource
from xstilts_operator.tolerant import stamp

KEEPING = {"store": {"name": "default", "keep": "Scores"}}


@pytest.fixture
def world() -> World:
    return World()


def tries(world: World, name: str = "grid") -> int:
    """How often the Job of an experiment's report has been made."""
    return sum(job.startswith(f"{name}-plan-") and "-report-" in job for job in world.jobs_made)


def fails_until_it_is_given_up(world: World, code: int = 1) -> None:
    world.report_end = End(code)
    for _ in range(20):
        world.play()
        world.tick(300)
        if world.said()[0] == "False":
            return


def test_a_report_over_evaluations_of_yesterday_is_tried_again(world: World) -> None:
    world.submit("one")
    world.play()
    world.tick(7200)
    world.submit("two")
    world.report_end = End(1)
    world.play()
    assert world.said("two")[:2] == ("Unknown", "Running")
    assert "the report failed" in world.said("two")[2]
    world.report_end = End()
    world.tick(300)
    world.play()
    assert world.said("two")[:2] == ("True", "Completed")
    assert tries(world, "two") == 2


def test_a_report_that_a_suspension_has_stopped_is_tried_again(world: World) -> None:
    world.submit()
    world.report_end = None
    world.play(rounds=8)
    assert set(world.states().values()) == {"Succeeded"}
    world.edit(suspend=True)
    world.settle()
    world.tick(2000)
    world.edit(suspend=False)
    world.report_end = End(1)
    world.play()
    assert world.said()[:2] == ("Unknown", "Running")
    world.report_end = End()
    world.tick(300)
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert tries(world) == 3


@pytest.mark.parametrize("code", [1, 64])
def test_a_report_that_was_given_up_is_written_when_a_person_says_so(world: World, code: int) -> None:
    world.submit(**KEEPING)
    fails_until_it_is_given_up(world, code)
    said = world.said()
    assert said == ("False", "PartlyFailed", "the report failed: it gave no answer")
    assert (tries(world) == 1) is (code == 64)
    world.edit(parallelism=2)
    world.play()
    assert world.said() == said
    assert world.status()["report"] == {"state": "Failed", "message": said[2]}
    assert not world.dropped
    world.report_end = End()
    world.edit(retryFailedAt=stamp(world.now))
    world.play()
    assert world.said()[:2] == ("True", "Completed")
    assert world.status()["report"]["state"] == "Written"
    marked = {one["spec"]["key"] for one in world.stages().values() if "weightsDropped" in one["status"]}
    assert world.dropped == marked


def test_a_report_that_fails_again_after_that_is_given_up_again(world: World) -> None:
    world.submit()
    fails_until_it_is_given_up(world)
    before = tries(world)
    world.edit(retryFailedAt=stamp(world.now))
    world.play()
    assert world.said()[:2] == ("Unknown", "Running")
    world.tick(300)
    fails_until_it_is_given_up(world)
    assert world.said()[:2] == ("False", "PartlyFailed")
    assert tries(world) > before + 1
    assert len(world.names(Resource.EXPERIMENT)) == 1
