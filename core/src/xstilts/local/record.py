"""What a local run leaves for other terminals: results/NAME/run.json, written anew with every change, whole or not at all.

Whether its process is alive is known by the lock beside it, which dies with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from filelock import FileLock, Timeout
from pydantic import ValidationError

from xstilts.errors import UserError
from xstilts.local.executor import Observer
from xstilts.local.process import Outcome, Progress
from xstilts.local.schedule import State
from xstilts.local.scored import Scored, Scores
from xstilts.model import Model
from xstilts.stage import Stage

RECORD: Final = "run.json"
_LOCK: Final = ".run.lock"
_EVERY_SECONDS: Final = 1.0  # progress alone is written no more often


class StageRecord(Model):
    """A stage of a run: what it is, where it stands, and how it ended."""

    key: str
    kind: str
    title: str
    state: State
    percent: int | None = None
    eta_seconds: int | None = None
    score: str = ""
    error: str = ""


class RunRecord(Model):
    """A run of an experiment on this machine. Times are seconds since 1970."""

    record_version: Literal[2] = 2
    name: str
    namespace: str
    file: str
    store: str
    parallelism: int
    pid: int
    started: float
    ended: float | None = None
    interrupted: bool = False
    error: str = (
        ""  # what ended it before its stages did: a file that is not there, a store that does not answer
    )
    best: str = ""
    stages: tuple[StageRecord, ...] = ()


class Recorder:
    """Keeps the record of one run while its block is left; tells `observer` the same.

    Where another process records a run of this name, this one records nothing. A record that cannot be written (the disk
    is full) stops no run: it is told once, and tried again with the next change.
    """

    def __init__(self, folder: Path, record: RunRecord, tell: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / RECORD
        self._lock = FileLock(folder / _LOCK)
        self._record = record
        self._tell: Callable[[str], None] | None = tell
        self._scored: Scored  # from `begin` on
        self._stages: dict[str, StageRecord] = {}
        self._written = 0.0
        self.recording = False

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=1)  # a reader may hold it for a moment
        except Timeout:
            return self
        self.recording = True
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.recording:
            said = str(error) if isinstance(error, UserError) else ""
            interrupted = self._record.interrupted or (kind is not None and not said)
            self._record = self._record.model_copy(
                update={"ended": time.time(), "interrupted": interrupted, "error": said}
            )
            self._write()
            self._lock.release()

    def begin(
        self,
        stages: Sequence[Stage],
        titles: Mapping[str, str],
        states: Mapping[str, State],
        scored: Scored,
    ) -> None:
        """Say which stages there are, where they stand, and what was scored before."""
        self._scored = scored
        self._stages = {
            stage.key: StageRecord(
                key=stage.key,
                kind=stage.kind,
                title=titles[stage.key],
                state=states[stage.key],
                score=scored.words(stage),
            )
            for stage in stages
            if stage.key in states
        }
        self._record = self._record.model_copy(update={"best": scored.best})
        self._write()

    def settle(self, states: Mapping[str, State], *, interrupted: bool) -> None:
        """Say where they stand in the end."""
        for key, one in self._stages.items():
            if key in states:
                self._stages[key] = one.model_copy(update={"state": states[key]})
        self._record = self._record.model_copy(update={"interrupted": interrupted})
        self._write()

    def watching(self, observer: Observer) -> Observer:
        """An observer that records what it is told, and passes it on."""
        return _Recording(self, observer)

    def scored(self, stage: Stage, scores: Scores) -> None:
        """Take what a stage has scored; it is written with the next change."""
        self._scored.add(stage, scores)
        self._stages[stage.key] = self._stages[stage.key].model_copy(
            update={"score": self._scored.words(stage)}
        )
        self._record = self._record.model_copy(update={"best": self._scored.best})

    def update(self, key: str, *, at_once: bool = True, **changes: object) -> None:
        """Change what is said of a stage."""
        self._stages[key] = self._stages[key].model_copy(update=changes)
        if at_once or time.monotonic() - self._written > _EVERY_SECONDS:
            self._write()

    def _write(self) -> None:
        if not self.recording:
            return
        self._written = time.monotonic()
        record = self._record.model_copy(update={"stages": tuple(self._stages.values())})
        partial = self._file.with_name(f".{RECORD}.{os.getpid()}")
        try:
            partial.write_text(record.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
            partial.replace(self._file)
        except OSError as error:
            if self._tell is not None:
                tell, self._tell = self._tell, None
                tell(
                    f"{self._file} cannot be written, so that other commands do not see how the run goes: {error}"
                )


class _Recording:
    def __init__(self, recorder: Recorder, observer: Observer) -> None:
        self._recorder = recorder
        self._observer = observer

    def started(self, stage: Stage) -> None:
        """See Observer."""
        self._recorder.update(stage.key, state=State.RUNNING)
        self._observer.started(stage)

    def progressed(self, stage: Stage, progress: Progress) -> None:
        """See Observer."""
        self._recorder.update(
            stage.key, at_once=False, percent=progress.percent, eta_seconds=progress.eta_seconds
        )
        self._observer.progressed(stage, progress)

    def ended(self, stage: Stage, state: State, outcome: Outcome) -> None:
        """See Observer."""
        error = outcome.error if state is State.FAILED else ""
        if outcome.result and outcome.result.scores:
            self._recorder.scored(stage, outcome.result.scores)
        self._recorder.update(stage.key, state=state, error=error, eta_seconds=None)
        self._observer.ended(stage, state, outcome)


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run in `folder`; None where there is none that this version can read."""
    try:
        return RunRecord.model_validate_json((folder / RECORD).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def is_alive(folder: Path) -> bool:
    """Whether the run that a record in `folder` tells of is under way."""
    if not (folder / _LOCK).exists():
        return False
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
