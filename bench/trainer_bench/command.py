"""Our own loop and transformers' Trainer on the same model and data, in turn.

The real e5-small is trained on the MNLI slice as examples/xnli-small-cpu.yaml has it (batches of 32, fp32): by our own
loop, by transformers' Trainer with its defaults, and by it with batches grouped by length. A run is 50 steps, which is one
pool of batches for both samplers; a token is useful where it is no padding. Models and data are read before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from bench.operator_bench.figure import Figure, plain, times_peer
from bench.trainer_bench.measuring import command, measure
from bench.trainer_bench.sides import Ours, Theirs, settings
from torch import Tensor
from torch.nn import functional

from xstilts_trainer.models.linear import linear

TIMES_DEFAULT, TIMES_GROUPED = 2.5, 1.4
WARM_UP = 3  # steps of each setting's first run, which is not counted


def speed(setting: Ours | Theirs, steps: int, seed: int) -> float:
    """Useful tokens a second of a run."""
    tokens, seconds = setting.run(steps, seed)
    return tokens / seconds


def figures(runs: int, steps: int) -> list[Figure]:
    """Measure, each setting in turn in every run, once all of them are warm."""
    chosen, unit = settings(), "tokens/s"
    for one in chosen:
        one.run(min(WARM_UP, steps), 0)
    sides = {one.name: partial(speed, one, steps) for one in chosen}
    rates = measure(sides, runs, lambda rate: f"{rate:.0f} {unit}")
    ours, default, grouped = (median(rates[one.name]) for one in chosen)
    spread = "runs: " + "; ".join(
        f"{name} {', '.join(f'{rate:.0f}' for rate in of_setting)}" for name, of_setting in rates.items()
    )
    return [
        times_peer("training, beside transformers' Trainer", ours, unit, default, TIMES_DEFAULT, spread),
        times_peer("training, beside it grouped by length", ours, unit, grouped, TIMES_GROUPED),
        layer(),
        *sgemm(),
    ]


def layer() -> Figure:
    """A linear layer of the model, forward and backward, as the trainer computes it and as torch does."""
    rows, features, outputs, rounds = 32 * 40, 384, 1536, 20
    draw = torch.Generator().manual_seed(1)
    inputs, weight = (
        torch.randn(*shape, generator=draw, requires_grad=True)
        for shape in ((rows, features), (outputs, features))
    )
    toward = torch.randn(rows, outputs, generator=draw)

    def rate(layer: Callable[[Tensor, Tensor], Tensor]) -> float:
        began = time.perf_counter()
        for _ in range(rounds):
            torch.autograd.grad(layer(inputs, weight), (inputs, weight), toward)
        return rounds * 6 * rows * features * outputs / (time.perf_counter() - began) / 1e9

    sides = {"trainer": lambda _run: rate(linear), "torch": lambda _run: rate(functional.linear)}
    rates = measure(sides, 5, lambda reached: f"{reached:.0f} GFLOP/s")
    ours, theirs = (median(rates[name]) for name in sides)
    return times_peer("a linear layer, forward and backward, beside torch's", ours, "GFLOP/s", theirs, 0.95)


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
    command(__doc__, figures, runs=5, steps=50, of_steps="of a run")


if __name__ == "__main__":
    main()
