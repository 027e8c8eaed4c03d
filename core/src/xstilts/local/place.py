"""The runs on this machine, as the commands see them: each has its folder in results/."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xstilts.errors import Problem, UserError
from xstilts.local.executor import log_name
from xstilts.local.process import last_lines
from xstilts.local.record import RunRecord, StageRecord, is_alive, read_record
from xstilts.local.schedule import BAD, GOOD
from xstilts.local.schedule import State as RunState
from xstilts.standing import ExperimentStanding, Explanation, StageStanding, State, choose_stage

_STATES: Final = {
    RunState.CACHED: State.CACHED,
    RunState.WAITING: State.PENDING,
    RunState.RUNNING: State.RUNNING,
    RunState.DONE: State.SUCCEEDED,
    RunState.FAILED: State.FAILED,
    RunState.BLOCKED: State.BLOCKED,
    RunState.INTERRUPTED: State.INTERRUPTED,
}
_FOLLOW_SECONDS: Final = 0.5


class LocalPlace:
    """The runs whose folders are in `folder`."""

    words = "this machine"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The experiments that have a record here."""
        folders = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(one.name for one in folders if read_record(one))

    def has(self, name: str, namespace: str | None = None) -> bool:
        """Whether an experiment has been run here; in that namespace, where one is said."""
        found = read_record(self.folder / name)
        return found is not None and namespace in {None, found.namespace}

    def record(self, name: str) -> RunRecord:
        """The record of a run.

        Raises:
            UserError: there is none.
        """
        found = read_record(self.folder / name)
        if found is None:
            known = ", ".join(self.names()) or "none"
            problem = f"must have been run on this machine, has no record in {self.folder} (there: {known})"
            raise UserError(Problem(f"experiment {name}", problem))
        return found

    def standings(self) -> list[ExperimentStanding]:
        """All runs, without their stages."""
        return [self.standing(name) for name in self.names()]

    def standing(self, name: str) -> ExperimentStanding:
        """A run with its stages."""
        record = self.record(name)
        alive = is_alive(self.folder / name)
        stages = [_stage(one, alive=alive) for one in record.stages]
        done = sum(one.state.done for one in stages)
        complete = all(one.state in GOOD for one in record.stages) and bool(record.stages)
        state, message = _summary(record, alive=alive, complete=complete)
        over = not alive
        parts = [(one.percent or 0) for one in stages]
        etas = [one.eta_seconds for one in stages if one.state is State.RUNNING]
        return ExperimentStanding(
            name=record.name,
            namespace=record.namespace,
            place=self.words,
            state=state,
            succeeded=complete and not record.interrupted if over else None,
            message=message,
            total=len(stages),
            done=done,
            failed=sum(one.state is State.FAILED for one in stages),
            percent=sum(parts) // len(parts) if parts else None,
            eta_seconds=_only_known(etas) if done + 1 >= len(stages) else None,
            best=record.best,
            age_seconds=int(time.time() - record.started),
            stages=tuple(sorted(stages, key=lambda one: (one.order, one.title))),
        )

    def explain(self, name: str) -> Explanation:
        """The one reason why a run does not advance."""
        record, standing = self.record(name), self.standing(name)
        again = f"xstilts resume {name}"
        failed = next((one for one in record.stages if one.state is RunState.FAILED), None)
        if standing.succeeded:
            return Explanation(name, self.words, standing.state, advancing=False, reason=standing.message)
        if failed is not None:
            lines = [line for line in last_lines(self._log_file(name, failed)) if line.strip()]
            return Explanation(
                name,
                self.words,
                standing.state,
                advancing=standing.state == "Running",
                reason=failed.error or "it failed",
                stage=failed.title,
                log=lines[-1] if lines else "",
                remedy=f"see `xstilts logs {name}`; mend it, then: xstilts retry {name} --failed",
            )
        remedy = "" if standing.state == "Running" else f"mend it, then: {again}" if record.error else again
        return Explanation(
            name,
            self.words,
            standing.state,
            advancing=standing.state == "Running",
            reason=standing.message,
            remedy=remedy,
        )

    def log(
        self, name: str, stage: str | None, *, tail: int, follow: bool
    ) -> tuple[StageStanding, Iterator[str]]:
        """A stage and the lines of its log; with `follow` also those to come, until it ends.

        Raises:
            UserError: no stage is called so, or it has said nothing.
        """
        record = self.record(name)
        chosen = choose_stage(name, self.standing(name).stages, stage)
        one = next(one for one in record.stages if _name(one) == chosen.name)
        file = self._log_file(name, one)
        if not file.exists():
            problem = f"must be there, are not: it is {chosen.state}, and {file} is not there"
            raise UserError(Problem(f"logs of {chosen.title}", problem))
        return chosen, self._lines(name, one.key, file, tail=tail, follow=follow)

    def stop(self, name: str) -> bool:
        """Ask a run to save and end; False where it does not run."""
        record = self.record(name)
        if not is_alive(self.folder / name):
            return False
        try:
            os.kill(record.pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True

    def _lines(self, name: str, key: str, file: Path, *, tail: int, follow: bool) -> Iterator[str]:
        """The last lines of a log, and those to come while its stage runs; each is told once it is whole, or at the end."""
        decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        part, most = "", tail
        with file.open("rb") as stream:
            while True:
                goes_on = follow and self._goes_on(name, key)  # asked first: what it says last is read below
                text = part + decoder.decode(stream.read(), final=not goes_on)
                *whole, part = text.split("\n")
                yield from whole[max(0, len(whole) + bool(part) - most) :]
                if not goes_on:
                    break
                most = sys.maxsize
                time.sleep(_FOLLOW_SECONDS)
        if part:
            yield part

    def _goes_on(self, name: str, key: str) -> bool:
        """Whether a stage runs, or will."""
        record = read_record(self.folder / name)
        states = {one.key: one.state for one in record.stages} if record else {}
        return states.get(key) in {RunState.RUNNING, RunState.WAITING} and is_alive(self.folder / name)

    def _log_file(self, name: str, stage: StageRecord) -> Path:
        return self.folder / name / "logs" / log_name(stage.kind, stage.key)


def _name(stage: StageRecord) -> str:
    return f"{stage.kind}-{stage.key[:12]}"


def _stage(stage: StageRecord, *, alive: bool) -> StageStanding:
    dead = not alive and stage.state is RunState.RUNNING
    state = State.INTERRUPTED if dead else _STATES[stage.state]
    return StageStanding(
        name=_name(stage),
        kind=stage.kind,
        title=stage.title,
        state=state,
        percent=100 if state.done else stage.percent if state is State.RUNNING else None,
        eta_seconds=stage.eta_seconds if state is State.RUNNING else None,
        score=stage.score,
        reason=stage.error,
    )


def _summary(record: RunRecord, *, alive: bool, complete: bool) -> tuple[str, str]:
    """The state in a word, and a sentence."""
    count = {state: sum(one.state is state for one in record.stages) for state in RunState}
    running, waiting, done = (
        count[RunState.RUNNING],
        count[RunState.WAITING],
        sum(count[state] for state in GOOD),
    )
    bad = sum(count[state] for state in BAD)
    lost = f", {bad} failed or cannot run" if bad else ""
    if record.error:
        return "Failed", record.error
    if alive:
        return "Running", f"of {len(record.stages)} stages {running} run and {waiting} wait{lost}"
    if record.interrupted or record.ended is None:
        return "Interrupted", f"it was stopped with {done} of {len(record.stages)} stages done{lost}"
    if complete:
        return "Completed", f"{done} of {len(record.stages)} stages are done"
    return "Failed" if not done else "PartlyFailed", f"{done} of {len(record.stages)} stages are done{lost}"


def _only_known(etas: list[int | None]) -> int | None:
    known = [eta for eta in etas if eta is not None]
    return max(known) if known and len(known) == len(etas) else None
