"""A whole experiment on this machine: file -> plan -> stages -> results, and what to tell about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from xstilts.local.display import make_display
from xstilts.local.dropping import Dropper
from xstilts.local.executor import Executor, Run, log_file
from xstilts.local.inputs import pin_inputs
from xstilts.local.process import Outcome, StageProcess, last_lines
from xstilts.local.record import Recorder
from xstilts.local.schedule import GOOD, State, required
from xstilts.local.scored import Scored
from xstilts.local.titles import title
from xstilts.plan import Plan, plan
from xstilts.plan.rows import check_files, stored_files
from xstilts.plan.show import unpinned_warning
from xstilts.results.words import plural
from xstilts.spec import Experiment
from xstilts.stage import Kind, Stage
from xstilts.store import Store, Use

PASSES = 2  # a parent that was found damaged is made again once, and what needed it with it


@dataclass(frozen=True)
class Failure:
    """A stage that failed: its title, why, and the end of its log."""

    title: str
    reason: str
    log: Path
    last_lines: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """What a run has come to.

    Attributes:
        experiment: with its inputs pinned.
        plan: what was asked for.
        states: of each stage that an evaluation needed; what nobody needed is not in it.
        seconds: wall-clock seconds of each stage that was run, by key.
        interrupted: a signal ended it; the same command continues.
        dropped: the trainings that have given up their weights, by spec.store.keep; `freed` the bytes of those.
        kept_by: why weights have stayed that may go; "" where none have.
    """

    experiment: Experiment
    plan: Plan
    states: Mapping[str, State]
    seconds: Mapping[str, float]
    wall_seconds: float
    failures: tuple[Failure, ...]
    interrupted: bool
    dropped: int = 0
    freed: int = 0
    kept_by: str = ""

    @property
    def complete(self) -> bool:
        """Whether every evaluation has its scores."""
        return not self.interrupted and all(state in GOOD for state in self.states.values())

    @property
    def blocked(self) -> tuple[str, ...]:
        """The titles of the stages that could not start because of a failure."""
        return tuple(
            title(self.plan.by_key[key]) for key, state in self.states.items() if state is State.BLOCKED
        )

    def seconds_by_group(self) -> dict[str, float]:
        """Where the time went: seconds of stages by what they do (they overlap when several run at once)."""
        groups: dict[str, float] = {}
        for key, seconds in self.seconds.items():
            group = self.plan.by_key[key].group
            groups[group] = groups.get(group, 0) + seconds
        return groups


class LocalRun:
    """Runs experiments against one store, telling a console, and whoever reads the recorder's file."""

    def __init__(
        self, store: Store, root: str, *, console: Console, folder: Path, recorder: Recorder | None = None
    ) -> None:
        self._store = store
        self._root = root
        self._console = console
        self._folder = folder
        self._recorder = recorder

    def run(self, experiment: Experiment, base: Path, *, parallelism: int) -> Ended:
        """Run what is missing of an experiment; plain paths in it are relative to `base`.

        Raises:
            SpecError: the experiment cannot be planned, names a path that is no folder, or a file is missing that a stage
                reads: nothing is run then.
            StoreError: the store cannot be used.
        """
        began = time.monotonic()
        experiment = pin_inputs(experiment, base, self._store)
        planned = plan(experiment)
        warning = unpinned_warning(planned)
        if warning:
            self._console.print(warning, markup=False, highlight=False, soft_wrap=True)
        stages = [one.stage for one in planned.stages if one.stage.kind is not Kind.REPORT]
        outcomes: dict[str, Outcome] = {}
        use = Use.of(planned.name, experiment.spec.store.keep, stages)
        self._store.note_use(use)
        dropper = Dropper(self._store, use)
        for _ in range(PASSES):
            scored = Scored(experiment, planned, self._store)
            run = self._pass(
                planned,
                stages,
                dropper,
                scored,
                threads=experiment.spec.resources.cpu,
                parallelism=parallelism,
            )
            outcomes |= run.outcomes
            if run.interrupted or not self._lost_parents(stages, run):
                break
        dropper.finish()
        if self._recorder:
            self._recorder.settle(run.states, interrupted=run.interrupted)
        return Ended(
            experiment=experiment,
            plan=planned,
            states=run.states,
            seconds={key: outcome.seconds for key, outcome in outcomes.items()},
            wall_seconds=time.monotonic() - began,
            failures=tuple(self._failures(planned, run)),
            interrupted=run.interrupted,
            dropped=dropper.count,
            freed=dropper.freed,
            kept_by=dropper.problem,
        )

    def _pass(
        self,
        planned: Plan,
        stages: list[Stage],
        dropper: Dropper,
        scored: Scored,
        *,
        threads: int,
        parallelism: int,
    ) -> Run:
        found = {stage.key: there for stage in stages if (there := self._store.record(stage.key))}
        dropper.begin(found)
        cached = {key for key, there in found.items() if there.whole}
        needed = required(stages, cached)
        wanted = [stage for stage in stages if stage.key in needed]
        check_files(wanted, stored_files(self._store))
        needed_cached = {parent for stage in wanted for parent in stage.parents.values()} & cached
        evaluated = {stage.key for stage in stages if stage.kind is Kind.EVALUATE} & cached
        states = dict.fromkeys(needed_cached | evaluated, State.CACHED) | dict.fromkeys(needed, State.WAITING)
        self._console.print(
            f"{plural(len(wanted), 'stage')} to run, {len(stages) - len(wanted)} in the store or not needed",
            highlight=False,
        )
        titles = {one.key: title(one) for one in planned.stages}
        if self._recorder:
            self._recorder.begin(stages, titles, states, scored)
        with make_display(self._console, titles, len(wanted)) as display:
            executor = Executor(
                lambda stage: StageProcess(
                    stage,
                    root=self._root,
                    namespace=planned.namespace,
                    threads=threads,
                    log=log_file(self._folder, stage),
                ),
                parallelism=parallelism,
                observer=dropper.watching(self._recorder.watching(display) if self._recorder else display),
            )
            return asyncio.run(executor.run(stages, states))

    def _lost_parents(self, stages: list[Stage], run: Run) -> bool:
        """Whether a stage failed since what it needs was found damaged, and has been set aside."""
        return any(
            self._store.lookup(parent) is None
            for stage in stages
            if run.states.get(stage.key) is State.FAILED
            for parent in stage.parents.values()
        )

    def _failures(self, planned: Plan, run: Run) -> Iterator[Failure]:
        for key, state in run.states.items():
            if state is State.FAILED:
                one = planned.by_key[key]
                log = log_file(self._folder, one.stage)
                yield Failure(title(one), run.outcomes[key].error, log, tuple(last_lines(log)))
