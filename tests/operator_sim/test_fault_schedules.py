"""A bounded number of what `scripts/fault_schedules.py` runs at length: no fault may change what comes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from operator_sim.schedules import calm

pytestmark = pytest.mark.slow


def run(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, repository / "scripts" / "fault_schedules.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_calm_run_makes_every_job_once_and_ends_succeeded() -> None:
    outcome = calm(0)
    assert outcome.rested
    assert set(outcome.jobs.values()) == {1}
    assert outcome.experiments["reference"]["conditions"]["Succeeded"] == ("True", "Completed")
    assert {stage["attempts"] for stage in outcome.stages.values()} == {1}
    assert outcome.left == []


@pytest.mark.timeout(600)
def test_no_schedule_diverges(repository: Path) -> None:
    assert "100 schedules, 0 diverged" in run(repository, "--seeds", "0-99")
