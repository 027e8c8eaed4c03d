"""Each contestant in turn in every run, on the same vectors; figures are medians, and the ratio is that of the medians.

Vectors are of unit length, drawn with a fixed seed; half of the targets are near their source, as translations are. Neighbours are
counted as the products of fp32 that they take at least, 2 S T H operations for both directions together.
`utils_retrieve.py` is google-research/xtreme's (third_party/, Apache-2.0); it stays where it is, and needs faiss, which is found where
PYTHONPATH or the environment has it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final

import torch
from bench.operator_bench.figure import Figure, as_json, as_table, at_most, plain, times_peer
from bench.retrieval_bench.memory import beside_the_vectors
from bench.retrieval_bench.peers import by_faiss, mine_bitext
from bench.retrieval_bench.vectors import BLOCK, both_sides
from torch import Tensor

from xstilts_trainer.data.examples import Corpora, Sentence
from xstilts_trainer.models.linear import linear
from xstilts_trainer.retrieval.exact import nearest_in_float64
from xstilts_trainer.retrieval.mining import mine
from xstilts_trainer.retrieval.neighbours import nearest, nearest_both

FIGURES: Final = ("large", "small", "mining", "memory")
K: Final = 4
SHARE_OF_SGEMM: Final = 0.8
MOST_MEMORY: Final = 300  # MB
Work = Callable[[], object]


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    found = list(_figures(options))
    print(as_json(found) if options.json else as_table(found))


def _figures(options: argparse.Namespace) -> Iterator[Figure]:
    chosen, size = set(options.figures), options.size
    if "large" in chosen:
        yield from _beside_sgemm(options.large, size, options.runs)
    if "small" in chosen:
        yield from _beside_sgemm(options.small, size, options.runs)
        yield from _beside_others(options.small, size, options.runs)
    if "mining" in chosen:
        yield from _mining(options.small, size, options.runs, options.mine_bitext)
    if "memory" in chosen:
        yield _memory(options.memory, size, options.threads)


def _beside_sgemm(count: int, size: int, runs: int) -> Iterator[Figure]:
    sources, targets = both_sides(count, size)
    onednn, mkl, both, one = "oneDNN", "MKL", "both directions", "one direction"
    seconds = _measured(
        {
            onednn: lambda: _blocks(sources, targets, lambda left, right: linear(left, right, None)),
            both: lambda: nearest_both(sources, targets, K),
            mkl: lambda: _blocks(sources, targets, lambda left, right: left @ right.T),
            one: lambda: nearest(sources, targets, K),
        },
        runs,
    )
    unit, operations = "GFLOP/s", 2 * count**2 * size / 1e9
    rates = {name: operations / median(of_one) for name, of_one in seconds.items()}
    limit = max(rates[onednn], rates[mkl])
    what = f"{count:,} x {count:,} x {size:,}"
    yield plain(f"sgemm by oneDNN, {what}", rates[onednn], unit, _spread(seconds[onednn]))
    yield plain(f"sgemm by MKL, {what}", rates[mkl], unit, _spread(seconds[mkl]))
    for name in (both, one):
        title = f"{K} neighbours, {name}, {what}, beside sgemm"
        yield times_peer(title, rates[name], unit, limit, SHARE_OF_SGEMM, _spread(seconds[name]))


def _beside_others(count: int, size: int, runs: int) -> Iterator[Figure]:
    sources, targets = both_sides(count, size)
    sides = ((sources, targets), (targets, sources))
    ours, double, faiss = "both directions", "float64", "faiss"
    contestants: dict[str, Work] = {
        ours: lambda: nearest_both(sources, targets, K),
        double: lambda: [nearest_in_float64(*pair, K) for pair in sides],
    }
    if find_spec("faiss"):
        contestants[faiss] = lambda: [by_faiss(*pair, K) for pair in sides]
    seconds = _measured(contestants, runs)
    rates = {name: count**2 / 1e6 / median(of_one) for name, of_one in seconds.items()}
    unit = "M pairs/s"
    same = all(
        torch.equal(one.indices, other.indices)
        for one, other in zip(
            nearest_both(sources, targets, K), [nearest_in_float64(*pair, K) for pair in sides], strict=True
        )
    )
    yield times_peer(
        f"{K} neighbours, {ours}, beside the search in float64 that was before",
        rates[ours],
        unit,
        rates[double],
        1,
        f"{'the same' if same else 'OTHER'} neighbours; {_spread(seconds[ours])}; float64 {_spread(seconds[double])}",
    )
    if faiss in rates:
        yield times_peer(
            f"{K} neighbours, {ours}, beside faiss-cpu (IndexFlatIP, once a direction)",
            rates[ours],
            unit,
            rates[faiss],
            1,
            f"faiss {_spread(seconds[faiss])}",
        )


def _mining(count: int, size: int, runs: int, script: Path | None) -> Iterator[Figure]:
    sources, targets = both_sides(count, size)
    texts = tuple([f"{side}{row}" for row in range(count)] for side in "st")
    corpora = Corpora(*(tuple(Sentence(text, text) for text in side) for side in texts), frozenset())

    def ours() -> set[tuple[str, str]]:
        return set(mine(corpora, lambda of: sources if of[0][0] == "s" else targets, K))

    contestants: dict[str, Work] = {"xstilts": ours}
    if script:
        contestants["mine_bitext"] = lambda: mine_bitext(script, sources, targets, texts, K)
    seconds = _measured(contestants, runs)
    rates = {name: count**2 / 1e6 / median(of_one) for name, of_one in seconds.items()}
    title = f"mining, {count:,} x {count:,} x {size:,}"
    if not script:
        yield plain(title, rates["xstilts"], "M pairs/s", _spread(seconds["xstilts"]))
        return
    here, there = ours(), mine_bitext(script, sources, targets, texts, K)
    yield times_peer(
        f"{title}, beside mine_bitext",
        rates["xstilts"],
        "M pairs/s",
        rates["mine_bitext"],
        1,
        f"{len(here & there):,} pairs are the same, {len(here ^ there):,} are not; {_spread(seconds['xstilts'])}; "
        f"mine_bitext {_spread(seconds['mine_bitext'])}",
    )


def _memory(count: int, size: int, threads: int) -> Figure:
    """In a process of its own: what others took would be counted else."""
    with get_context("spawn").Pool(1) as pool:
        megabytes, seconds = pool.apply(beside_the_vectors, (count, size, K, threads))
    title = f"memory beside the vectors, mining {count:,} x {count:,} x {size:,}"
    return at_most(title, megabytes, "MB", MOST_MEMORY, f"{seconds:.0f} s")


def _measured(contestants: dict[str, Work], runs: int) -> dict[str, list[float]]:
    """Seconds of each, run by run, all of them in turn in every run; the first run is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in range(runs + 1):
        for name, work in contestants.items():
            began = time.perf_counter()
            work()
            took = time.perf_counter() - began
            print(f"run {run}: {name}: {took:.3f} s", file=sys.stderr, flush=True)
            if run:
                seconds[name].append(took)
    return seconds


def _blocks(sources: Tensor, targets: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> None:
    """All products, a block at a time, and nothing done with them."""
    for left in torch.split(sources, BLOCK):
        for right in torch.split(targets, BLOCK):
            product(left, right)


def _spread(seconds: Sequence[float]) -> str:
    return "runs " + ", ".join(f"{one:.2f}" for one in seconds) + " s"


def _chosen(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(FIGURES):
        raise argparse.ArgumentTypeError(f"must be of {', '.join(FIGURES)}, was {', '.join(sorted(unknown))}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument(
        "--figures", type=_chosen, default=FIGURES, help=f"some of {','.join(FIGURES)} (default: all)"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, help="H, of a vector")
    parser.add_argument("--large", type=int, default=24_000, help="vectors a side")
    parser.add_argument("--small", type=int, default=8_000, help="vectors a side; of mining too")
    parser.add_argument("--memory", type=int, default=100_000, help="vectors a side")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--mine-bitext",
        type=Path,
        metavar="PATH",
        help="google-research/xtreme's utils_retrieve.py, to measure it too",
    )
    return parser
