"""Programs of the machine, run to their end."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


class NodeError(Exception):
    """What stands in the way of the cluster; the message is for the person who asked for it."""


def run(
    *argv: str | Path,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """What a program writes to stdout.

    Raises:
        NodeError: it failed; the message ends with the last lines of what it wrote.
    """
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise NodeError(f"{' '.join(map(str, argv))} failed with code {done.returncode}:\n{last}")
    return done.stdout


def attempt(*argv: str | Path, stdin: str | None = None) -> bool:
    """Whether a program, which may fail, has succeeded; it is not there: it has failed."""
    try:
        run(*argv, stdin=stdin)
    except (NodeError, FileNotFoundError):
        return False
    return True
