"""A bounded number of what `scripts/fault_schedules.py` runs at length: no fault may change what comes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from operator_sim.scenarios import SCENARIOS
from operator_sim.schedules import calm

pytestmark = pytest.mark.slow

# How the reference, or what is left of it, ends in each scenario without faults: the reason of its condition.
ENDS = {
    "all succeed": "Completed",
    "some fail once": "Completed",
    "some are interrupted": "Completed",
    "some are disrupted": "Completed",
    "some pods vanish": "Completed",
    "one is wrong": "PartlyFailed",
    "one fails for good": "PartlyFailed",
    "one gets no further": "PartlyFailed",
    "half is there": "Completed",
    "all is there": "Completed",
    "lookup and report fail": "Completed",
    "two at once": "Completed",
    "suspended and resumed": "Completed",
    "who pays is deleted": "Completed",
    "deleted in the middle": None,
    "the grid grows": "Completed",
    "the budget is spent, and raised": "Completed",
    "the deadline passes": "DeadlineExceeded",
    "mended and tried again": "Completed",
    "a failure is inherited": "PartlyFailed",
    "a node of two is disrupted": "Completed",
    "gone after its end": None,
    "suspended at any moment": "Completed",
    "deleted and made anew": "Completed",
    "they come and go": "Completed",
    "weights go, and are needed again": "Completed",
}


def run(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, repository / "scripts" / "fault_schedules.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=lambda number: SCENARIOS[number].name)
def test_every_scenario_ends_as_it_should_without_faults(number: int) -> None:
    outcome = calm(number)
    assert outcome.rested
    assert outcome.broken == []
    assert outcome.left == []
    reasons = {name: one["conditions"]["Succeeded"][1] for name, one in outcome.experiments.items()}
    assert reasons.get("reference") == ENDS[SCENARIOS[number].name]
    if ENDS[SCENARIOS[number].name] is None:
        assert (outcome.experiments, outcome.stages, outcome.kept) == ({}, {}, [])


def test_a_calm_run_makes_every_job_once() -> None:
    outcome = calm(0)
    assert set(outcome.jobs.values()) == {1}
    assert {stage["attempts"] for stage in outcome.stages.values()} == {1}


def test_weights_that_went_are_made_again_once_where_they_are_needed() -> None:
    outcome = calm(len(SCENARIOS) - 1)
    trainings = {name: one for name, one in outcome.stages.items() if name.startswith("train-")}
    assert trainings
    assert all(one["weightsDropped"] for one in trainings.values())
    assert not any(one["weightsDropped"] for name, one in outcome.stages.items() if name not in trainings)


@pytest.mark.timeout(600)
def test_no_schedule_diverges(repository: Path) -> None:
    assert "50 schedules, 0 diverged" in run(repository, "--seeds", "0-49", "--jobs", "2")


@pytest.mark.timeout(600)
def test_two_operators_at_once_do_as_one_does(repository: Path) -> None:
    """Attempts, Jobs and bills too, without a Lease: names, versions and fresh reads alone."""
    found = run(repository, "--seeds", "50-74", "--writers", "2", "--jobs", "2")
    assert "25 schedules, 0 diverged" in found


@pytest.mark.timeout(600)
def test_no_crash_diverges(repository: Path) -> None:
    assert ", 0 diverged" in run(repository, "--crashes", "--every", "9", "--jobs", "2")
