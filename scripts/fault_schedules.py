"""Run the operator through seeded faults, or through a crash at each of its writes, and compare with a calm run.

    python scripts/fault_schedules.py --seeds 0-999     1,000 schedules; failing seeds are printed
    python scripts/fault_schedules.py --seed 17         one of them again, with what is different
    python scripts/fault_schedules.py --crashes         killed before and after every write

It exits with 1 if any run came to another end than without faults.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from operator_sim.schedules import SCENARIOS, Outcome, calm, crashed, faulty, scenario_of
from operator_sim.weather import CrashPoint

SHOWN = 12  # differences of one run
REFERENCE = 0  # the scenario whose writes the crash points are


def main() -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", type=_seeds, metavar="A-B")
    what.add_argument("--seed", type=int, metavar="N")
    what.add_argument("--crashes", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING if arguments.seed is not None else logging.CRITICAL)
    if arguments.crashes:
        return _crashes()
    seeds = range(arguments.seed, arguments.seed + 1) if arguments.seed is not None else arguments.seeds
    return _schedules(seeds)


def _schedules(seeds: range) -> int:
    seen: Counter[str] = Counter()
    failing: list[int] = []
    for seed in seeds:
        outcome = faulty(seed)
        seen.update(outcome.seen)
        if not _same(outcome, seed % len(SCENARIOS), f"seed {seed} ({scenario_of(seed).name})"):
            failing.append(seed)
    faults = ", ".join(f"{name} {number:,}" for name, number in sorted(seen.items()))
    print(f"{len(seeds):,} schedules, {len(failing)} diverged; faults: {faults}")
    for seed in failing:
        print(f"again: python scripts/fault_schedules.py --seed {seed}")
    return 1 if failing else 0


def _crashes() -> int:
    points = [
        CrashPoint(write, when) for write in range(calm(REFERENCE).writes) for when in ("before", "after")
    ]
    failing = [point for point in points if not _same(crashed(REFERENCE, point), REFERENCE, str(point))]
    print(f"{len(points)} crash points, {len(failing)} diverged")
    return 1 if failing else 0


def _same(outcome: Outcome, scenario: int, name: str) -> bool:
    differences = list(outcome.differences(calm(scenario)))
    for line in differences[:SHOWN]:
        print(f"{name}: {line}", flush=True)
    return not differences


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must be the same again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    sys.exit(main())
