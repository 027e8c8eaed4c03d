"""Run the stages of a plan as subprocesses: start what is ready, stop in good order, lose nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from xstilts.errors import EXIT_INTERRUPTED
from xstilts.local.process import Outcome, Progress, StageProcess
from xstilts.local.schedule import State, block, ready
from xstilts.stage import Stage

RESUMES = 3  # a trainer that was interrupted by others than us is continued so often


class Observer(Protocol):
    """Who is told how a run goes (a terminal, a log, a test)."""

    def started(self, stage: Stage) -> None:
        """A stage's process has been started."""

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """A running stage says how far it is."""

    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None:
        """A stage is done, failed or interrupted."""


@dataclass
class Run:
    """What became of every stage of a run: its state, and the outcome of those that were started."""

    states: dict[str, State]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    interrupted: bool = False


class Executor:
    """Runs stages, parents first, at most `parallelism` at once."""

    def __init__(
        self,
        process: Callable[[Stage], StageProcess],
        *,
        parallelism: int,
        observer: Observer,
    ) -> None:
        self._make_process = process
        self._parallelism = parallelism
        self._observer = observer
        self._processes: dict[str, StageProcess] = {}
        self._stopping = False
        self._error: BaseException | None = None

    async def run(self, stages: Sequence[Stage], states: Mapping[str, State]) -> Run:
        """Run every waiting stage (`stages` come parents first) until nothing more can run.

        SIGINT, SIGTERM and SIGHUP stop it: running stages save and end, and the run is marked interrupted. A second
        signal ends them at once. What the observer raises, or the starting of a process, stops it too, and is raised
        once no stage runs any more.
        """
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it runs under nohup, and is to go on
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._stop)
        try:
            return await self._run(stages, Run(dict(states)))
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _run(self, stages: Sequence[Stage], run: Run) -> Run:
        by_key = {stage.key: stage for stage in stages}
        tasks: dict[asyncio.Task[Outcome], str] = {}
        while True:
            run.states = block(stages, run.states)
            if not self._stopping:
                for key in ready(stages, run.states)[: self._parallelism - len(tasks)]:
                    run.states[key] = State.RUNNING
                    tasks[asyncio.create_task(self._run_stage(by_key[key]))] = key
            if not tasks:
                break
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                key = tasks.pop(task)
                with self._held():
                    outcome = task.result()
                    run.outcomes[key] = outcome
                    run.states[key] = self._state_of(outcome)
                    self._observer.ended(by_key[key], run.states[key], outcome)
        if self._error is not None:
            raise self._error
        run.interrupted = self._stopping
        return run

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep what is raised in here until the running stages have saved and ended.

        They have sessions of their own: where we ended without them, they would go on, on a GPU that nobody sees taken.
        """
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - Rich raises SystemExit where a pipe is broken; `run` raises it
            self._error = self._error or error
            if not self._stopping:
                self._stop()

    async def _run_stage(self, stage: Stage) -> Outcome:
        def progressed(progress: Progress) -> None:
            with self._held():
                self._observer.progressed(stage, progress)

        with self._held():
            self._observer.started(stage)
        for _ in range(RESUMES + 1):
            process = self._processes[stage.key] = self._make_process(stage)
            if self._stopping:  # asked before there was a process
                process.stop()
            outcome = await process.run(progressed)
            del self._processes[stage.key]
            if outcome.exit_code != EXIT_INTERRUPTED or self._stopping:
                break
        return outcome

    def _state_of(self, outcome: Outcome) -> State:
        if outcome.exit_code == 0 and outcome.result is not None:
            return State.DONE
        return State.INTERRUPTED if self._stopping else State.FAILED

    def _stop(self) -> None:
        again = self._stopping
        self._stopping = True
        for process in self._processes.values():
            if again:
                process.kill()
            else:
                process.stop()


def log_file(folder: Path, stage: Stage) -> Path:
    """Where a stage's output goes: one file a stage, attempts one after the other."""
    return folder / "logs" / log_name(stage.kind, stage.key)


def log_name(kind: str, key: str) -> str:
    """What the log of a stage of this kind and key is called."""
    return f"{kind}-{key[:12]}.log"
