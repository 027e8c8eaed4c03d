"""How sides are measured beside each other, and the command that asks for it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from bench.operator_bench.figure import Figure, as_json, as_table
from transformers.utils import logging as transformers_logging

T = TypeVar("T")


def measure(
    sides: Mapping[str, Callable[[int], T]], runs: int, shown: Callable[[T], str] = str
) -> dict[str, list[T]]:
    """What each side's runs have given, by its name: all sides in turn in every run, whose number is their seed."""
    found: dict[str, list[T]] = {name: [] for name in sides}
    for seed in range(1, runs + 1):
        for name, run in sides.items():
            found[name].append(run(seed))
            print(f"run {seed}: {name}: {shown(found[name][-1])}", file=sys.stderr, flush=True)
    return found


def command(
    about: str | None, figures: Callable[[int, int], list[Figure]], *, runs: int, steps: int, of_steps: str
) -> None:
    """Measure figures of as many runs and steps as the command line says, else of these, and print them."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--steps", type=int, default=steps, help=of_steps)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    measured = figures(options.runs, options.steps)
    print(as_json(measured) if options.json else as_table(measured))
