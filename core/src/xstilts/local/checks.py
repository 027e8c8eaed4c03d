"""What this machine must have to run experiments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from xstilts.store import Store

LEAST_FREE_BYTES = 10_000_000_000  # of one base model's checkpoints with their optimiser


def trainer() -> tuple[bool, str]:
    """Whether the trainer is installed, and what it computes on."""
    if find_spec("xstilts_trainer") is None or find_spec("torch") is None:
        return False, "xstilts_trainer is not installed beside this program"
    asked = "import torch; print(torch.__version__, torch.cuda.device_count())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    if done.returncode:
        return False, f"torch cannot be loaded: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}"
    version, gpus = done.stdout.split()
    on = f"{gpus} GPU{'' if gpus == '1' else 's'}" if gpus != "0" else f"{os.cpu_count()} CPU cores, no GPU"
    return True, f"torch {version}, {on}"


def store(root: str) -> Iterator[str]:
    """What is wrong with a store as a place to run in; nothing where nothing is.

    Raises:
        UserError: it cannot be opened.
    """
    Store.open(root)
    if "://" in root:
        return
    there = Path(root).absolute()
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK):
        yield f"{there} must be a folder that can be written"
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE_BYTES:
        yield f"{there} has {free / 1e9:.1f} GB left: a training may need {LEAST_FREE_BYTES / 1e9:.0f}"
