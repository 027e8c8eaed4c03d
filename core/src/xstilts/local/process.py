"""One stage as a subprocess: the same entry point and environment that a Job gives it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from xstilts.model import Model
from xstilts.stage import Result, Stage

POLL_SECONDS = 0.5


class Progress(Model):
    """How far a running stage is. `eta_seconds` is None while nothing is known."""

    percent: int
    eta_seconds: int | None = None
    metrics: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a stage's process ended. `exit_code` is negative for a signal, as subprocess has it."""

    exit_code: int
    result: Result | None
    seconds: float

    @property
    def error(self) -> str:
        """Why it failed, if it did."""
        if self.result is not None and self.result.error is not None:
            error = self.result.error
            return f"{error.field}: {error.message}" if error.field else error.message
        if self.exit_code < 0:
            return f"its process was ended by signal {-self.exit_code}"
        return f"its process ended with exit code {self.exit_code} and no result"


class StageProcess:
    """`python -m xstilts_trainer STAGE.json` with its log, its progress file and its result.

    It runs in a session of its own: Ctrl-C reaches only us, and we pass it on as SIGTERM, which saves.
    """

    def __init__(self, stage: Stage, *, root: str, namespace: str, threads: int, log: Path) -> None:
        self.stage = stage
        self.log = log
        self._environment = {
            **os.environ,
            "XSTILTS_STORE": root,
            "XSTILTS_NAMESPACE": namespace,
            "XSTILTS_ATTEMPT": "1",
            "OMP_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        }
        self._process: asyncio.subprocess.Process | None = None
        self._asked: signal.Signals | None = None

    async def run(self, on_progress: Callable[[Progress], None]) -> Outcome:
        """Start the process and wait for its end; progress is told as it comes."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="xstilts-stage-") as temporary:
            folder = Path(temporary)
            stage_file, result_file, progress_file = (
                folder / name for name in ("STAGE.json", "result.json", "progress.jsonl")
            )
            stage_file.write_bytes(self.stage.to_json())
            environment = {
                **self._environment,
                "XSTILTS_RESULT": str(result_file),
                "XSTILTS_PROGRESS": str(progress_file),
            }
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "xstilts_trainer",
                    str(stage_file),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            if self._asked is not None:  # asked to end while it was being started
                self._signal(self._asked)
            watcher = asyncio.create_task(_watch(progress_file, on_progress))
            try:
                exit_code = await self._process.wait()
            finally:
                watcher.cancel()
            return Outcome(exit_code, _read_result(result_file, self.stage.key), time.monotonic() - started)

    def stop(self) -> None:
        """Ask it to save and end (exit code 42)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; the next run continues from its last checkpoint."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        self._asked = number
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


async def _watch(file: Path, on_progress: Callable[[Progress], None]) -> None:
    """Tell the newest of a growing file's JSON lines, a few times a second."""
    offset = 0
    while True:
        await asyncio.sleep(POLL_SECONDS)
        lines = _lines_from(file, offset)
        offset += sum(map(len, lines))
        newest = next(filter(None, map(_read_progress, reversed(lines))), None)
        if newest is not None:
            on_progress(newest)


def _lines_from(file: Path, offset: int) -> list[bytes]:
    """The lines that were written whole behind `offset`, a byte's place; none before there is a file."""
    if not file.exists():
        return []
    with file.open("rb") as stream:
        stream.seek(offset)
        return [line for line in stream if line.endswith(b"\n")]


def _read_progress(line: bytes) -> Progress | None:
    """What a line says; None where it says nothing: it is best effort, and fails no stage."""
    try:
        return Progress.model_validate_json(line)
    except ValidationError:
        return None


def _read_result(file: Path, key: str) -> Result | None:
    """The result, if there is a whole one of this very stage."""
    try:
        result = Result.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return result if result.key == key else None


def last_lines(log: Path, count: int = 10) -> list[str]:
    """The end of a stage's log, for a person who asks why it failed."""
    if not log.exists():
        return []
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
