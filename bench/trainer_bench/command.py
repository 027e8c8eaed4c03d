"""Our own loop and transformers' Trainer on the same model and data, in turn.

The real e5-small is trained on the MNLI slice as examples/xnli-small-cpu.yaml has it (batches of 32, fp32): by our own
loop, by transformers' Trainer with its defaults, and by it with batches grouped by length. A run is 50 steps, which is one
pool of batches for both samplers; a token is useful where it is no padding. Models and data are read before the clock starts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from bench.operator_bench.figure import Figure, as_json, as_table, plain, times_peer
from bench.trainer_bench.sides import settings
from torch import Tensor
from transformers.utils import logging as transformers_logging

TIMES_DEFAULT, TIMES_GROUPED = 2.5, 1.4
WARM_UP = 3  # steps of a first run that is not counted


def measured(
    run: Callable[[int, int], tuple[int, float]], steps: int, seeds: Iterator[int]
) -> Iterator[float]:
    """Useful tokens a second, run by run."""
    run(min(WARM_UP, steps), 0)
    for seed in seeds:
        tokens, seconds = run(steps, seed)
        yield tokens / seconds


def figures(runs: int, steps: int) -> list[Figure]:
    """Measure, each setting in turn in every run."""
    chosen = settings()
    rates: dict[str, list[float]] = {one.name: [] for one in chosen}
    series = [(one.name, measured(one.run, steps, iter(range(1, runs + 1)))) for one in chosen]
    for run in range(runs):
        for name, of_setting in series:
            rates[name].append(next(of_setting))
            print(f"run {run + 1}: {name}: {rates[name][-1]:.0f} tokens/s", file=sys.stderr, flush=True)
    ours, default, grouped = (median(rates[one.name]) for one in chosen)
    spread = "runs: " + "; ".join(
        f"{name} {', '.join(f'{rate:.0f}' for rate in of_setting)}" for name, of_setting in rates.items()
    )
    unit = "tokens/s"
    return [
        times_peer("training, beside transformers' Trainer", ours, unit, default, TIMES_DEFAULT, spread),
        times_peer("training, beside it grouped by length", ours, unit, grouped, TIMES_GROUPED),
        *sgemm(),
    ]


def sgemm() -> Iterator[Figure]:
    """The limit: what one product of large fp32 matrices reaches by each of torch's two libraries."""
    size, products = 2048, 5
    left, right = torch.randn(size, size), torch.randn(size, size)

    def rate(product: Callable[[], Tensor]) -> float:
        product()
        began = time.perf_counter()
        for _ in range(products):
            product()
        return products * 2 * size**3 / (time.perf_counter() - began) / 1e9

    yield plain("sgemm by MKL", rate(lambda: left @ right), "GFLOP/s")
    onednn = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - the only way to it
    yield plain("sgemm by oneDNN", rate(lambda: onednn(left, right, None, "none", [], "")), "GFLOP/s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50, help="of a run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers_logging.set_verbosity_error()
    measured_figures = figures(options.runs, options.steps)
    print(as_json(measured_figures) if options.json else as_table(measured_figures))


if __name__ == "__main__":
    main()
