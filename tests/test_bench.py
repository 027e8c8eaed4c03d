"""The benchmarks start: what they measure is looked at by people, and too slow for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in BENCH.glob("*.py")))
def test_it_says_how_it_is_used(name: str) -> None:
    """From the root and by its path, as its own text has it: bench/operator.py lies beside it then."""
    told = subprocess.run(
        [sys.executable, f"bench/{name}", "--help"],
        cwd=BENCH.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("usage: ")
    assert name in told.stdout.partition(" [")[0]
