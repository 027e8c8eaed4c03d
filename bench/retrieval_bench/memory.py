"""How much memory mining takes beside the vectors, in a process that does nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from bench.retrieval_bench.vectors import both_sides

from xstilts_trainer.retrieval.mining import candidates


def beside_the_vectors(count: int, size: int, k: int, threads: int) -> tuple[float, float]:
    """By how many MB the process's resident memory is larger at most, while it mines, than before; and the seconds it takes.

    What the libraries take for themselves is there before: a small corpus has been mined by then.
    """
    torch.set_num_threads(threads)
    candidates(*both_sides(256, size), k)
    sources, targets = both_sides(count, size)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    before, began = _of_status("VmRSS"), time.perf_counter()
    candidates(sources, targets, k)
    return _of_status("VmHWM") - before, time.perf_counter() - began


def _of_status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line for line in lines if line.startswith(f"{name}:")).split()[1]
    return int(kilobytes) * 1024 / 1e6
