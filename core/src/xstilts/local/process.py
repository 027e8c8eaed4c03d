"""One stage as a subprocess: the same entry point and environment that a Job gives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from xstilts.stage import Result, Stage

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a running stage is. `eta_seconds` is None while nothing is known."""

    percent: int
    eta_seconds: int | None
    metrics: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a stage's process ended. `exit_code` is negative for a signal, as subprocess has it."""

    exit_code: int
    result: Result | None
    seconds: float


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
    """Tell the newest whole line of a growing file of JSON lines, a few times a second."""
    told = ""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        newest = _newest_line(file)
        if newest and newest != told:
            told = newest
            line = json.loads(newest)
            on_progress(Progress(line["percent"], line.get("etaSeconds"), line.get("metrics", {})))


def _newest_line(file: Path) -> str:
    """The last line that was written whole; "" before there is one."""
    if not file.exists():
        return ""
    return file.read_text(encoding="utf-8").rpartition("\n")[0].rpartition("\n")[2]


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
