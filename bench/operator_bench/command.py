"""`bench/operator.py`: which figures, at which sizes, and how they are told."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.operator_bench.draining import (
    drain_experiments,
    drain_figures,
    drain_plain_jobs,
    drain_pytorch_jobs,
    peer_figure,
    plain_figure,
)
from bench.operator_bench.figure import Figure, as_json, as_table
from bench.operator_bench.living import STAGES, Sizes, living_figures
from bench.operator_bench.stand import Stand, standing

from controlplane.build import TOOLS, build

FIGURES: Final = ("plain", "peer", "drain", "create", "latency", "restart")
TOOLS_NEEDED: Final = ("hyperkube", "kwok", "training-operator")


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 whatever the goals are."""
    options = _parser().parse_args(arguments)
    for tool in TOOLS_NEEDED:
        build(TOOLS[tool], say=_say)
    with tempfile.TemporaryDirectory(prefix="xstilts-bench-") as folder:
        figures = asyncio.run(_measure(options, Path(folder)))
    print(as_json(figures) if options.json else as_table(figures))
    return 0


async def _measure(options: argparse.Namespace, folder: Path) -> list[Figure]:
    async with standing(folder, _say) as stand:
        return [*await _drains(options, stand), *await _living(options, stand)]


async def _drains(options: argparse.Namespace, stand: Stand) -> list[Figure]:
    figures: list[Figure] = []
    jobs = peer = None
    if "plain" in options.figures:
        _say(f"{options.experiments} plain Jobs")
        jobs = await drain_plain_jobs(stand, options.experiments)
        figures.append(plain_figure(jobs))
    if "peer" in options.figures:
        _say(f"{options.peer_jobs} PyTorchJobs")
        peer, memory = await drain_pytorch_jobs(stand, options.peer_jobs)
        figures.append(peer_figure(peer, memory))
    if "drain" in options.figures:
        _say(f"{options.experiments} experiments of one stage")
        drained, memory, requests = await drain_experiments(stand, options.experiments, options.profile)
        figures += drain_figures(drained, memory, requests, jobs, peer)
    return figures


async def _living(options: argparse.Namespace, stand: Stand) -> list[Figure]:
    wanted = set(options.figures) & {"create", "latency", "restart"}
    if not wanted:
        return []
    _say(f"{options.stages} stages: {', '.join(sorted(wanted))}")
    profile = None if "drain" in options.figures else options.profile
    return await living_figures(stand, Sizes(options.stages, options.samples), wanted, profile)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/operator.py", description="How fast the operator is, beside its peers."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument(
        "--figures", type=_figures, default=FIGURES, help=f"some of {','.join(FIGURES)} (default: all)"
    )
    parser.add_argument("--experiments", type=int, default=5000, help="experiments, and plain Jobs, to drain")
    parser.add_argument("--peer-jobs", type=int, default=500, help="PyTorchJobs to drain")
    parser.add_argument(
        "--stages", type=int, default=10_000, help=f"stages under way, a multiple of {STAGES}"
    )
    parser.add_argument("--samples", type=int, default=600, help="stages whose end is timed")
    parser.add_argument(
        "--profile", type=Path, help="a file for the operator's profile (cProfile's, which slows it)"
    )
    return parser


def _figures(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(FIGURES):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(FIGURES)}, was {', '.join(sorted(unknown))}")
    return chosen


_begun = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - _begun:6.0f} s  {line}", file=sys.stderr, flush=True)
