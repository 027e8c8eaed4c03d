"""Run the operator through seeded faults, or through a crash at each of its writes, and compare with calm runs.

    python scripts/fault_schedules.py --seeds 0-999 --jobs 2    1,000 schedules; failing seeds are printed
    python scripts/fault_schedules.py --seeds 0-999 --writers 2 the same with two operators that both act
    python scripts/fault_schedules.py --seed 17                 one of them again, with what is different
    python scripts/fault_schedules.py --crashes                 killed before and after every write of the reference
    python scripts/fault_schedules.py --crashes all --every 7   of every scenario, every seventh of these points
    python scripts/fault_schedules.py --crash 0:31:after        one of them again
    python scripts/fault_schedules.py --poison                  99 experiments beside one full of garbage, and without it

A seed's scenario is that of its remainder by their number (`tests/operator_sim/scenarios.py`). It exits with 1 if any run
came to another end than without faults, or if a kind of fault never happened in 250 schedules or more.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from operator_sim.outcome import Outcome
from operator_sim.poison import observed
from operator_sim.scenarios import SCENARIOS, scenario_of
from operator_sim.schedules import calm, crashed, faulty
from operator_sim.weather import CHANCES, CONSEQUENCES, CrashPoint

SHOWN = 12  # differences of one run
ENOUGH = 250  # schedules in which every kind of fault must have happened
REFERENCE = "0"  # the scenario whose writes the crash points are

Case = TypeVar("Case")


class Ran(NamedTuple):
    """One run: how it is called, how it is had again, what is different, and what happened."""

    name: str
    again: str
    differences: list[str]
    seen: dict[str, int]
    writes: int


def main() -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", type=_seeds, metavar="A-B")
    what.add_argument("--seed", type=int, metavar="N")
    what.add_argument("--crashes", nargs="?", const=REFERENCE, metavar="SCENARIO|all")
    what.add_argument("--crash", type=_crash, metavar="SCENARIO:WRITE:before|after")
    what.add_argument("--poison", action="store_true")
    parser.add_argument("--writers", type=int, default=1, metavar="N", help="operators that act at once")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of the crash points only every n-th"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that share the runs")
    arguments = parser.parse_args()
    one = arguments.seed is not None or arguments.crash is not None
    logging.basicConfig(level=logging.WARNING if one else logging.CRITICAL)
    if arguments.poison:
        return _poison()
    if arguments.seeds is not None or arguments.seed is not None:
        seeds = [arguments.seed] if one else arguments.seeds
        return _report("schedules", partial(_schedule, writers=arguments.writers), seeds, arguments.jobs)
    points = [arguments.crash] if one else list(_points(arguments.crashes))[:: arguments.every]
    return _report("crash points", _crashed, points, arguments.jobs)


def _report(what: str, run: Callable[[Case], Ran], cases: Sequence[Case], jobs: int) -> int:
    """Run all cases; say what happened, and how those that diverged are had again."""
    begun, seen, writes = monotonic(), Counter[str](), 0
    failing: list[Ran] = []
    for ran in _each(run, cases, jobs):
        seen.update(ran.seen)
        writes += ran.writes
        for line in ran.differences[:SHOWN]:
            print(f"{ran.name}: {line}", flush=True)
        if ran.differences:
            failing.append(ran)
    seconds = monotonic() - begun
    print(f"{len(cases):,} {what}, {len(failing)} diverged; {writes:,} writes, {seconds:.0f} s")
    for fault in [*CHANCES, *CONSEQUENCES]:
        if seen[fault]:
            print(f"  {fault}: {seen[fault]:,}")
    for ran in failing:
        print(f"again: python scripts/fault_schedules.py {ran.again}")
    absent = [fault for fault in [*CHANCES, *CONSEQUENCES] if not seen[fault]]
    if what == "schedules" and len(cases) >= ENOUGH and absent:
        print(f"never happened: {', '.join(absent)}")
        return 1
    return 1 if failing else 0


def _poison() -> int:
    """Compare the p99 from event to status of 99 experiments with and without a poisoned one beside them."""
    alone, beside = observed(poisoned=False), observed(poisoned=True)
    for name, one in (("without", alone), ("with", beside)):
        print(
            f"{name} a poisoned experiment: {len(one.seconds):,} events to status, p50 {one.quantile(50) * 1000:.0f} ms, "
            f"p99 {one.quantile(99) * 1000:.0f} ms, {one.scribbles:,} writes of garbage"
        )
    allowed = max(1.2 * alone.quantile(99), alone.quantile(99) + 1.0)
    print(f"allowed: {allowed * 1000:.0f} ms")
    return 0 if beside.quantile(99) <= allowed else 1


def _each(run: Callable[[Case], Ran], cases: Iterable[Case], jobs: int) -> Iterator[Ran]:
    if jobs == 1:
        yield from map(run, cases)
        return
    quiet = partial(logging.basicConfig, level=logging.CRITICAL)
    with ProcessPoolExecutor(jobs, get_context("spawn"), quiet) as pool:
        yield from pool.map(run, cases, chunksize=4)


def _schedule(seed: int, writers: int) -> Ran:
    scenario, salt = scenario_of(seed)
    again = f"--seed {seed}" + (f" --writers {writers}" if writers != 1 else "")
    return _ran(
        f"seed {seed} ({scenario.name})",
        again,
        faulty(seed, writers),
        calm(seed % len(SCENARIOS), salt),
    )


def _crashed(case: tuple[int, CrashPoint]) -> Ran:
    number, point = case
    name = f"{SCENARIOS[number].name}, killed {point.when} write {point.write}"
    return _ran(name, f"--crash {number}:{point.write}:{point.when}", crashed(number, point), calm(number))


def _ran(name: str, again: str, outcome: Outcome, undisturbed: Outcome) -> Ran:
    differences = [f"without faults: {line}" for line in undisturbed.broken]
    differences += outcome.differences(undisturbed)
    return Ran(name, again, differences, outcome.seen, outcome.writes)


def _points(scenarios: str) -> Iterator[tuple[int, CrashPoint]]:
    numbers = range(len(SCENARIOS)) if scenarios == "all" else [int(scenarios)]
    for number in numbers:
        for write in range(calm(number).writes):
            yield number, CrashPoint(write, "before")
            yield number, CrashPoint(write, "after")


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _crash(text: str) -> tuple[int, CrashPoint]:
    number, write, when = text.split(":")
    return int(number), CrashPoint(int(write), "before" if when == "before" else "after")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must be the same again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    sys.exit(main())
