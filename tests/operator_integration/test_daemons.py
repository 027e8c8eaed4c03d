"""Servers that tests start: none is left behind, and one that fails says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.daemon import Daemon

pytestmark = pytest.mark.slow

STARTER = """
    import sys, threading
    from pathlib import Path
    from controlplane.daemon import Daemon

    daemon = Daemon([sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]))
    thread = threading.Thread(target=daemon.start)
    thread.start()
    thread.join()
    print(daemon.pid, flush=True)
    sys.stdin.read()
"""


def test_no_server_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STARTER), tmp_path / "log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    ) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        time.sleep(0.5)
        assert not ended(pid)  # though the thread that asked for it has ended
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: ended(pid))


def test_a_server_that_ends_at_once_is_shown_with_the_end_of_its_log(tmp_path: Path) -> None:
    daemon = Daemon(
        [sys.executable, "-c", "raise SystemExit('no such flag: --sekure')"], log=tmp_path / "log"
    )
    daemon.start()
    wait_until(lambda: not daemon.running)
    assert "no such flag: --sekure" in str(daemon.failure("ended"))
    daemon.stop()


def ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)
