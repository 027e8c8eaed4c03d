"""Server processes that end when this process does, each with its own log file."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Started through a bare Python that asks the kernel (prctl PR_SET_PDEATHSIG = 1) for SIGKILL when its parent ends, and
# becomes the server unless the parent has ended before that.
_TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)
# The kernel takes the *thread* that forked for the parent: so one thread starts them all, and lives as long as we do.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="daemon-starter")


class DaemonError(Exception):
    """A server ended, or did not become ready; the message ends with the last lines of its log."""


class Daemon:
    """A server process. `log` holds what it wrote, over all its starts."""

    def __init__(self, argv: list[str | Path], *, log: Path, name: str | None = None) -> None:
        self.name = name or Path(argv[0]).name
        self.log = log
        self._argv = [str(part) for part in argv]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; an error if it was not started."""
        assert self._process, f"{self.name} is not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process (again); does not wait until it answers."""
        assert not self.running, f"{self.name} is started already"
        self._process = _starter.submit(self._spawn).result()

    def stop(self, *, grace: float = 10, kill: bool = False) -> None:
        """SIGTERM, and after `grace` seconds SIGKILL (at once if `kill`); returns when the process is gone."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def failure(self, what: str) -> DaemonError:
        """An error that says `what` and shows the last lines of the log."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            last = "".join(deque(lines, maxlen=20))
        return DaemonError(f"{self.name} {what}; the end of {self.log}:\n{last}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the servers in order
            )


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on, below those that the kernel gives to clients.

    A port from the kernel's own range could be taken by a client while its server is down for a restart, even by a
    client that connects to itself.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randint(20_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
