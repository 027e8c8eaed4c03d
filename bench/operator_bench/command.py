"""`bench/operator.py`: which figures, at which sizes, and how they are told."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
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
DRAINED: Final = frozenset({"plain", "peer", "drain"})
TOOLS_NEEDED: Final = ("hyperkube", "kwok")


def main(arguments: Sequence[str]) -> int:
    """Measure and print, each figure as it comes and all at the end; 0 whatever the goals are, 1 where some are missing."""
    options = _parser().parse_args(arguments)
    for tool in (*TOOLS_NEEDED, *(["training-operator"] if "peer" in options.figures else [])):
        build(TOOLS[tool], say=_say)
    figures: list[Figure] = []
    try:
        asyncio.run(_measure(options, figures))
    except Exception:  # noqa: BLE001 - what has been measured is printed whatever has ended the run
        traceback.print_exc()
        return 1
    finally:
        print(as_json(figures) if options.json else as_table(figures), flush=True)
    return 0


async def _measure(options: argparse.Namespace, figures: list[Figure]) -> None:
    """Drain on one control plane, and have stages alive on another: what was drained would weigh on it."""

    def tell(figure: Figure) -> None:
        figures.append(figure)
        _say(str(figure))

    chosen = set(options.figures)
    if chosen & DRAINED:
        async with _stand() as stand:
            await _drains(options, stand, tell)
    if living := chosen - DRAINED:
        async with _stand() as stand:
            sizes = Sizes(-(-options.stages // STAGES) * STAGES, options.samples)
            _say(f"{sizes.stages} stages: {', '.join(sorted(living))}")
            profile = None if "drain" in chosen else options.profile
            await living_figures(stand, sizes, living, tell, profile)


@asynccontextmanager
async def _stand() -> AsyncIterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="xstilts-bench-") as folder:
        async with standing(Path(folder), _say) as stand:
            yield stand


async def _drains(options: argparse.Namespace, stand: Stand, tell: Callable[[Figure], None]) -> None:
    jobs = peer = None
    if "plain" in options.figures:
        _say(f"{options.experiments} plain Jobs")
        jobs = await drain_plain_jobs(stand, options.experiments)
        tell(plain_figure(jobs))
    if "peer" in options.figures:
        _say(f"{options.peer_jobs} PyTorchJobs")
        peer, memory = await drain_pytorch_jobs(stand, options.peer_jobs)
        tell(peer_figure(peer, memory))
    if "drain" in options.figures:
        _say(f"{options.experiments} experiments of one stage")
        drained, memory, requests = await drain_experiments(stand, options.experiments, options.profile)
        for figure in drain_figures(drained, memory, requests, jobs, peer):
            tell(figure)


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
        "--stages", type=int, default=10_000, help=f"stages under way, rounded up to a multiple of {STAGES}"
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
