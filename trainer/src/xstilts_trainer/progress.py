"""Progress of a stage: plain lines for people, JSON lines for whoever started the process. Best effort."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_SECONDS_BETWEEN = 2.0


class Progress:
    """Tells how much of a stage's work is done, at most once in two seconds, and its end.

    Lines go to standard error, and as {"percent", "etaSeconds", "metrics"} to the file, where there is one. A file that
    cannot be written never fails the stage.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._began: tuple[float, float] | None = None
        self._told = -_SECONDS_BETWEEN

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Progress:
        """With the file that XSTILTS_PROGRESS names, if it does."""
        name = environment.get("XSTILTS_PROGRESS")
        return cls(Path(name) if name else None)

    def update(self, done: float, metrics: Mapping[str, float] | None = None) -> None:
        """Tell that the share `done` (0 to 1) of the work is done; the rest is estimated from the pace since the first call."""
        now = time.monotonic()
        if self._began is None:
            self._began = (now, done)
        if now - self._told < _SECONDS_BETWEEN and done < 1:
            return
        self._told = now
        numbers = {name: f"{value:.4f}" for name, value in (metrics or {}).items()}
        self._tell(int(100 * done), self._eta(now, done), numbers)

    def note(self, text: str) -> None:
        """A line for people alone."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - standard error is the stage's log

    def _eta(self, now: float, done: float) -> int | None:
        if self._began is None or done <= self._began[1]:
            return None
        began, share = self._began
        return round((now - began) * (1 - done) / (done - share))

    def _tell(self, percent: int, eta: int | None, metrics: Mapping[str, str]) -> None:
        words = [f"{percent} %", *([f"{eta} s left"] if eta is not None else [])]
        self.note("  ".join([*words, *(f"{name} {value}" for name, value in metrics.items())]))
        if self._file is None:
            return
        line = json.dumps({"percent": percent, "etaSeconds": eta, "metrics": metrics})
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self.note(f"progress is no longer told: {error}")
            self._file = None
