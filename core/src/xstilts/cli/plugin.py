"""kubectl's side: it starts `kubectl-xstilts` as `kubectl xstilts`, and asks `kubectl_complete-xstilts` for completions."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Final

_PREFIX: Final = ("kubectl-", "kubectl_complete-")  # how the program is called when kubectl has started it
_NOTHING_ELSE: Final = 4  # what the shell is to add, as cobra numbers it: nothing
_FILES: Final = 0  # file names


def is_plugin() -> bool:
    """Whether kubectl has started us."""
    return Path(sys.argv[0]).name.startswith(_PREFIX)


def program_name() -> str:
    """What a person types."""
    return "kubectl xstilts" if is_plugin() else "xstilts"


def complete() -> None:
    """Print the completions of the last argument as kubectl reads them: one a line, then what the shell is to add."""
    from xstilts.cli import app  # noqa: PLC0415 - that module imports this one

    words = sys.argv[1:] or [""]
    os.environ |= {
        "_XSTILTS_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["xstilts", *words[:-1]]) + f" {words[-1]}",
        "COMP_CWORD": str(len(words)),
    }
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(prog_name="xstilts")
    names = said.getvalue().split()
    sys.stdout.write("".join(f"{name}\n" for name in names))
    sys.stdout.write(f":{_NOTHING_ELSE if names else _FILES}\n")
