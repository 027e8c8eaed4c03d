"""The executor starts what is ready, at most so many at once, and stops in good order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from xstilts.local.executor import RESUMES, Executor, Observer, Run
from xstilts.local.process import Outcome, Progress, StageProcess
from xstilts.local.schedule import State
from xstilts.stage import Kind, Result, Stage


class Scripted(StageProcess):
    """A stage whose process ends as the test says; what is tested is the executor, not the trainer."""

    def __init__(self, stage: Stage, world: World) -> None:
        super().__init__(stage, root="", namespace="", threads=1, log=Path(os.devnull))
        self.world = world
        self.asked = asyncio.Event()

    async def run(self, on_progress: Callable[[Progress], None]) -> Outcome:
        key = self.stage.key
        if key in self.world.unstartable:
            raise OSError("no space left")
        self.world.running.add(key)
        self.world.most = max(self.world.most, len(self.world.running))
        self.world.started.append(key)
        on_progress(Progress(percent=1))
        try:
            if key in self.world.endless:
                await self.asked.wait()
            else:
                await asyncio.sleep(0.01)
            self.world.ended.append(key)
        finally:
            self.world.running.discard(key)
        if key in self.world.endless:
            return Outcome(42, None, 0)
        codes = self.world.codes.get(key, [0])
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        return Outcome(code, Result(key=key) if code == 0 else None, 0)

    def stop(self) -> None:
        self.asked.set()


class World:
    def __init__(
        self,
        codes: dict[str, list[int]] | None = None,
        endless: tuple[str, ...] = (),
        unstartable: tuple[str, ...] = (),
    ) -> None:
        self.codes = codes or {}
        self.endless = endless
        self.unstartable = unstartable
        self.running: set[str] = set()
        self.most = 0
        self.started: list[str] = []
        self.ended: list[str] = []  # by itself, or since it was asked to

    def execute(self, stages: list[Stage], parallelism: int = 2, observer: Observer | None = None) -> Run:
        executor = Executor(
            lambda stage: Scripted(stage, self), parallelism=parallelism, observer=observer or Quiet()
        )
        return asyncio.run(executor.run(stages, {stage.key: State.WAITING for stage in stages}))


class Quiet:
    def started(self, stage: Stage) -> None: ...
    def progressed(self, stage: Stage, progress: Progress) -> None: ...
    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None: ...


class Failing(Quiet):
    """Of one stage it cannot tell one thing."""

    def __init__(self, key: str, told: str, error: BaseException) -> None:
        self.key, self.error = key, error
        setattr(self, told, self.fail)

    def fail(self, stage: Stage, *_: object) -> None:
        if stage.key == self.key:
            raise self.error


def stage(key: str, *parents: str) -> Stage:
    return Stage(key=key, kind=Kind.TRAIN, parents={parent: parent for parent in parents}, spec={})


DIAMOND = [stage("a"), stage("b", "a"), stage("c", "a"), stage("d", "b", "c"), stage("e")]


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_parents_come_first_and_the_limit_holds(parallelism: int) -> None:
    world = World()
    run = world.execute(DIAMOND, parallelism)
    assert set(run.states.values()) == {State.DONE}
    assert world.most <= parallelism
    for child in DIAMOND:
        for parent in child.parents.values():
            assert world.started.index(parent) < world.started.index(child.key)


def test_a_failure_stops_only_what_depends_on_it() -> None:
    run = World({"b": [64]}).execute(DIAMOND)
    assert run.states == {
        "a": State.DONE,
        "b": State.FAILED,
        "c": State.DONE,
        "d": State.BLOCKED,
        "e": State.DONE,
    }
    assert not run.interrupted


def test_an_interrupted_trainer_is_continued_but_not_for_ever() -> None:
    world = World({"a": [42, 42, 0], "e": [42]})
    run = world.execute(DIAMOND)
    assert run.states["a"] is State.DONE
    assert world.started.count("a") == 3
    assert run.states["e"] is State.FAILED
    assert world.started.count("e") == RESUMES + 1


def test_a_stage_that_says_nothing_has_failed() -> None:
    run = World({"a": [-9]}).execute(DIAMOND)
    assert run.states["a"] is State.FAILED
    assert run.states["d"] is State.BLOCKED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_running_stages_and_starts_no_other(number: signal.Signals) -> None:
    world = World(endless=("a", "e"))

    async def interrupted() -> Run:
        executor = Executor(lambda stage: Scripted(stage, world), parallelism=2, observer=Quiet())
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), number)
        return await executor.run(DIAMOND, {stage.key: State.WAITING for stage in DIAMOND})

    before = signal.signal(number, signal.SIG_DFL)  # else it stays ignored where these tests run under nohup
    try:
        run = asyncio.run(interrupted())
    finally:
        signal.signal(number, before)
    assert run.interrupted
    assert run.states["a"] is run.states["e"] is State.INTERRUPTED
    assert run.states["b"] is State.WAITING
    assert world.started == ["a", "e"]


@pytest.mark.parametrize("told", ["started", "progressed", "ended"])
@pytest.mark.parametrize("error", [OSError("no space left"), SystemExit(1)])
def test_what_an_observer_raises_comes_when_no_stage_runs_any_more(told: str, error: BaseException) -> None:
    """A trainer has a session of its own, and would go on."""
    world = World(endless=("e",))
    with pytest.raises(type(error)) as raised:
        world.execute([stage("e"), *DIAMOND[:-1]], observer=Failing("a", told, error))
    assert raised.value is error
    assert set(world.ended) == set(world.started) == {"a", "e"}, "nothing new is begun"


def test_a_process_that_cannot_be_started_stops_the_others_too() -> None:
    world = World(endless=("e",), unstartable=("a",))
    with pytest.raises(OSError, match="no space left"):
        world.execute([stage("e"), *DIAMOND[:-1]])
    assert world.ended == ["e"]


def test_under_nohup_a_run_goes_on_without_its_terminal() -> None:
    world = World({"a": [0]})
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def hung_up() -> Run:
        executor = Executor(lambda stage: Scripted(stage, world), parallelism=2, observer=Quiet())
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGHUP)
        return await executor.run(DIAMOND, {stage.key: State.WAITING for stage in DIAMOND})

    try:
        run = asyncio.run(hung_up())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert set(run.states.values()) == {State.DONE}
