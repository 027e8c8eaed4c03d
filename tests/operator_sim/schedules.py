"""Whole runs of a scenario in virtual time: without faults, with a seed's faults, or killed at one write."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from operator_sim.cluster import Cluster, End
from operator_sim.invariants import Invariants
from operator_sim.outcome import Outcome, outcome
from operator_sim.people import NAMESPACE, People, Pod, experiment, stages_of
from operator_sim.process import RESYNC_SECONDS, SETTINGS, Process
from operator_sim.scenarios import SCENARIOS, Scenario, scenario_of
from operator_sim.store import Store
from operator_sim.virtual_time import run
from operator_sim.weather import CrashPoint, Weather
from xstilts.stage import Stage
from xstilts_operator.actions import Resource
from xstilts_operator.tolerant import mapping

__all__ = ["NAMESPACE", "Outcome", "calm", "crashed", "experiment", "faulty"]

START = datetime(2026, 1, 1, tzinfo=UTC)
RESYNCS = 200  # within which everything must come to rest
QUIET = 3  # resyncs without any write are rest
SKEW_SECONDS = 120.0  # between a process' clock and the server's


@lru_cache(maxsize=64)
def calm(number: int, salt: int = 0) -> Outcome:
    """The run of a scenario without faults."""
    return run(_play(SCENARIOS[number], salt, None, None, 1))


def faulty(seed: int, writers: int = 1) -> Outcome:
    """The run of a seed's scenario with the seed's faults, and so many operators at once."""
    scenario, salt = scenario_of(seed)
    return run(_play(scenario, salt, seed, None, writers))


def crashed(number: int, crash: CrashPoint) -> Outcome:
    """The run of a scenario in which the operator is killed at one write, and started again."""
    return run(_play(SCENARIOS[number], 0, None, crash, 1))


async def _play(
    scenario: Scenario, salt: int, seed: int | None, crash: CrashPoint | None, writers: int
) -> Outcome:
    loop = asyncio.get_running_loop()
    store = Store(lambda: START + timedelta(seconds=loop.time()))
    chances = _Chances(seed or 0)
    people = People(
        store,
        dict(scenario.spec),
        salt,
        chances.rng("people"),
        hangs=lambda stage: scenario.way(Pod(stage, 1, 0, mended=False, salt=salt)) is None,
    )

    def script(stage: Stage, attempt: int, index: int) -> End | None:
        return scenario.way(Pod(stage, attempt, index, people.mended, salt))

    invariants = Invariants(store, SETTINGS)
    manifests = [experiment(name, **scenario.spec) for name in scenario.experiments]
    stages = {stage.key: stage for manifest in manifests for stage in stages_of(manifest)}
    held = {key for key, stage in stages.items() if scenario.held(stage, salt)}
    Cluster(store, chances.rng("cluster"), store.clock, script, held, scenario.failures())
    weather = Weather(chances.rng("weather"), clear=seed is None)
    processes = _Processes(store, weather, chances.rng("processes"))
    for _ in range(writers):
        processes.begin(crash)
    if seed is not None:
        processes.trouble()
        loop.call_later(chances.rng("length").uniform(300, 1800), setattr, weather, "clear", True)
    for name in scenario.experiments:
        loop.call_later(chances.rng(name).uniform(0, 5), people.submit, name)
    acting = loop.create_task(_after(5, people, scenario))
    rested = await _rest(store, weather, acting)
    acting.cancel()
    alone = writers == 1 and not weather.seen.keys() & {"two processes", "lost reply, done later"}
    result = outcome(scenario, store, people, invariants, rested=rested, alone=alone)
    result.broken += processes.spins()
    result.writes, result.seen = processes.writes(), weather.seen
    processes.end()
    return result


async def _after(seconds: float, people: People, scenario: Scenario) -> None:
    await asyncio.sleep(seconds)
    await people.act(scenario.steps)


async def _rest(store: Store, weather: Weather, acting: asyncio.Task[None]) -> bool:
    """Wait until people have done what they do, every experiment is at its end, and nothing is written any more."""
    quiet = 0
    for _ in range(RESYNCS):
        before = store.version
        await asyncio.sleep(RESYNC_SECONDS)
        if acting.done():
            acting.result()
        there = store.all(Resource.EXPERIMENT)
        ended = all(
            mapping(one, "status").get("completionTime") and "ttlSecondsAfterFinished" not in one["spec"]
            for one in there
        )
        still = store.version == before and ended and acting.done() and weather.clear
        quiet = quiet + 1 if still else 0
        if quiet == QUIET:
            return True
    return False


@dataclass(frozen=True)
class _Chances:
    """Everything that a seed decides."""

    seed: int

    def rng(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")  # noqa: S311 - it must be the same again


class _Processes:
    """The operator's processes: mostly as many as were begun, sometimes one fewer, sometimes one more."""

    def __init__(self, store: Store, weather: Weather, rng: random.Random) -> None:
        self._store, self._weather, self._rng = store, weather, rng
        self._all: list[Process] = []

    def begin(self, crash: CrashPoint | None = None) -> None:
        """Start a process with a clock of its own."""
        faults = not self._weather.clear
        skew = self._rng.uniform(-SKEW_SECONDS, SKEW_SECONDS) if faults else 0.0
        for fault, happens in (("clock skew", faults), ("two processes", bool(self._alive()))):
            if happens:
                self._weather.count(fault)
        process = Process(
            self._store,
            self._weather,
            random.Random(self._rng.random()),  # noqa: S311 - it must be the same again
            timedelta(seconds=skew),
            crash,
            on_crash=self._after_crash,
        )
        process.start()
        self._all.append(process)

    def trouble(self) -> None:
        """Kills and new beginnings of a seed; those that work at the end are never killed."""
        loop = asyncio.get_running_loop()
        for _ in range(self._rng.randrange(5)):
            loop.call_later(self._rng.uniform(0, 600), self._replace, self._rng.uniform(-30, 60))

    def writes(self) -> int:
        """How many writes they have begun."""
        return sum(process.api.writes for process in self._all)

    def spins(self) -> list[str]:
        """What they would have done again and again without any time between."""
        return [spin for process in self._all for spin in process.spins]

    def end(self) -> None:
        """Kill them all."""
        for process in self._all:
            process.kill()

    def _alive(self) -> list[Process]:
        return [process for process in self._all if process.alive]

    def _replace(self, pause: float) -> None:
        """One is killed and another begins after a pause; less than 0: before."""
        loop, alive = asyncio.get_running_loop(), self._alive()
        kill: Callable[[], None] = self._rng.choice(alive).kill if alive else lambda: None
        self._weather.count("kill")
        if pause >= 0:
            kill()
            loop.call_later(pause, self.begin)
        else:
            self.begin()
            loop.call_later(-pause, kill)

    def _after_crash(self) -> None:
        self._weather.count("kill")
        asyncio.get_running_loop().call_later(1.0, self.begin)
