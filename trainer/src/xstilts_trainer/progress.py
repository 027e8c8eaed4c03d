"""Progress of a stage: plain lines for people, JSON lines for whoever started the process, reports to a server.

The server is the operator's, or Kubeflow Trainer's: one protocol. All of it is best effort.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SECONDS_BETWEEN = 2.0
_REPORT_SECONDS = (
    30.0  # between two reports: the server writes one a minute; the last, of 100 %, does not wait
)
_ANSWER_SECONDS = 5.0


class Progress:
    """Tells how much of a stage's work is done, at most once in two seconds, and its end.

    Lines go to standard error, and as {"percent", "etaSeconds", "metrics"} to the file, where there is one; the
    reporter, where there is one, is told too. What cannot be written or sent never fails the stage.

    Of several processes that do one stage together one tells its progress; the others (`counts` is False) tell notes alone.
    """

    def __init__(
        self, file: Path | None = None, reporter: Reporter | None = None, *, counts: bool = True
    ) -> None:
        self._counts = counts
        self._file = file
        self._reporter = reporter
        self._began: tuple[float, float] | None = None
        self._told = -_SECONDS_BETWEEN

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Progress:
        """With the file that XSTILTS_PROGRESS names and the server that KUBEFLOW_TRAINER_SERVER_URL does, if they do."""
        name = environment.get("XSTILTS_PROGRESS")
        progress = cls(Path(name) if name else None)
        progress._reporter = Reporter.from_environment(environment, progress.note)
        return progress

    def update(self, done: float, metrics: Mapping[str, float] | None = None) -> None:
        """Tell that the share `done` (0 to 1) of the work is done; the rest is estimated from the pace since the first call."""
        if not self._counts:
            return
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
        if self._reporter is not None:
            self._reporter.tell(percent, eta, metrics)
        if self._file is None:
            return
        line = json.dumps({"percent": percent, "etaSeconds": eta, "metrics": metrics})
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            self.note(f"progress is no longer told: {error}")
            self._file = None


class Reporter:
    """Posts the latest progress to the server at `url`, from a thread of its own, at most once in half a minute.

    `ca` is the file that the server is verified by, `token` the file of the bearer token; both are read each time, as
    both are replaced while the stage runs. `note` hears once of a server that does not take reports.
    """

    def __init__(
        self,
        url: str,
        ca: Path,
        token: Path,
        note: Callable[[str], None],
        seconds_between: float = _REPORT_SECONDS,
    ) -> None:
        self._url = url
        self._ca = ca
        self._token = token
        self._note = note
        self._seconds_between = seconds_between
        self._latest: dict[str, Any] | None = None
        self._told = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_noted = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], note: Callable[[str], None]) -> Reporter | None:
        """As the environment of a pod says (KUBEFLOW_TRAINER_SERVER_URL, _CA_CERT, _TOKEN); None where it does not."""
        name = "KUBEFLOW_TRAINER_SERVER_"
        url, ca, token = (environment.get(f"{name}{part}") for part in ("URL", "CA_CERT", "TOKEN"))
        if not url:
            return None
        if not url.startswith("https://") or not ca or not token:
            note(f"progress is not reported: {name}URL must be https, with {name}CA_CERT and {name}TOKEN")
            return None
        return cls(url, Path(ca), Path(token), note)

    def tell(self, percent: int, eta: int | None, metrics: Mapping[str, str]) -> None:
        """Have this posted, unless something newer comes before its time. Returns at once."""
        report: dict[str, Any] = {
            "progressPercentage": percent,
            "metrics": [{"name": name, "value": value} for name, value in metrics.items()],
            "lastUpdatedTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if eta is not None:
            report["estimatedRemainingSeconds"] = eta
        with self._told:
            self._latest = report
            self._told.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._told:
                self._told.wait_for(lambda: self._latest is not None)
                report, self._latest = self._latest, None
            self._post(json.dumps({"trainerStatus": report}).encode())
            with self._told:
                self._told.wait_for(self._is_done, timeout=self._seconds_between)

    def _is_done(self) -> bool:
        return self._latest is not None and self._latest["progressPercentage"] == 100

    def _post(self, body: bytes) -> None:
        try:
            token = self._token.read_text(encoding="ascii").strip()
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - https, see from_environment
            opener = urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self._ca)),
                urllib.request.ProxyHandler({}),  # the server is in the cluster
            )
            with opener.open(request, timeout=_ANSWER_SECONDS):
                pass
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not self._is_noted:
                self._is_noted = True
                self._note(f"progress is not reported: {error}")
