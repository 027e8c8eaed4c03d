"""A training that is asked to end after half of its steps and goes on, beside one that nobody disturbs, on two sides in turn.

The real e5-small is trained on the MNLI slice as in bench/trainer.py. Our own loop gets a SIGTERM; transformers' Trainer is told by a
callback to save and to stop, which is its own means. Ending is the time from the last step to the return with the checkpoint on the
disk; going on is the time from nothing to the end of the next step: model and data are opened, the checkpoint is read.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench.operator_bench.figure import Figure, at_most, beside, plain
from bench.trainer_bench.measuring import command, measure
from bench.trainer_bench.sides import Ours, Theirs, settings
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl

from xstilts_trainer.progress import Progress
from xstilts_trainer.training.interrupts import Interrupts, deferred_interrupts

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Resumed:
    """What one interrupted run took: seconds, bytes on the disk, and tensors that are not the undisturbed run's bit by bit."""

    ending: float
    going_on: float
    checkpoint_bytes: int
    differing: int


class _Clock(Progress):
    """Notes when steps end, and sends this process SIGTERM after the share `until` of them."""

    def __init__(self, until: float = 2) -> None:
        super().__init__(counts=False)
        self._until = until
        self.ends: list[float] = []

    def update(self, done: float, _metrics: Mapping[str, float] | None = None) -> None:
        self.ends.append(time.perf_counter())
        if done >= self._until:
            os.kill(os.getpid(), signal.SIGTERM)

    def note(self, text: str) -> None:
        """Nobody reads it."""


class _Callback(TrainerCallback):  # type: ignore[misc] # transformers gives no types
    """Notes when steps end, and has the Trainer save and stop after the step `until`."""

    def __init__(self, until: int = 0) -> None:
        self._until = until
        self.ends: list[float] = []

    def on_step_end(self, _arguments: Any, state: Any, control: TrainerControl, **_: Any) -> None:
        self.ends.append(time.perf_counter())
        if state.global_step == self._until:
            control.should_save = control.should_training_stop = True


def ours(side: Ours, steps: int, seed: int) -> Resumed:
    """Our own loop: undisturbed, ended by SIGTERM after half of the steps, gone on with."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as halves:
        trainer, _ = side.trainer(steps, seed, Path(whole), Progress(counts=False))
        trainer.run(Interrupts())
        undisturbed = _weights(trainer._model)  # noqa: SLF001 - the loop leaves them where it has them
        clock = _Clock(until=(steps // 2) / steps)
        trainer, _ = side.trainer(steps, seed, Path(halves), clock)
        with suppress(KeyboardInterrupt), deferred_interrupts() as interrupts:
            trainer.run(interrupts)
        ending = time.perf_counter() - clock.ends[-1]
        size = _bytes(Path(halves))
        begun, clock = time.perf_counter(), _Clock()
        trainer, _ = side.trainer(steps, seed, Path(halves), clock)
        trainer.run(Interrupts())
        _must_be(len(clock.ends), steps - steps // 2)
        return Resumed(
            ending,
            clock.ends[0] - begun,
            size,
            _differing(undisturbed, _weights(trainer._model)),  # noqa: SLF001
        )


def theirs(side: Theirs, steps: int, seed: int) -> Resumed:
    """The Trainer of transformers in the same way."""
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as halves:
        trainer, _ = side.trainer(steps, seed, Path(whole))
        trainer.train()
        undisturbed = _weights(trainer.model)
        callback = _Callback(until=steps // 2)
        trainer, _ = side.trainer(steps, seed, Path(halves), [callback])
        trainer.train()
        ending = time.perf_counter() - callback.ends[-1]
        size = _bytes(Path(halves))
        begun, callback = time.perf_counter(), _Callback()
        trainer, _ = side.trainer(steps, seed, Path(halves), [callback])
        trainer.train(resume_from_checkpoint=True)
        _must_be(len(callback.ends), steps - steps // 2)
        return Resumed(
            ending, callback.ends[0] - begun, size, _differing(undisturbed, _weights(trainer.model))
        )


def _must_be(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"a run that goes on must take the other {wanted} steps, and took {found}")


def _weights(model: nn.Module | None) -> Weights:
    return {name: weight.detach().clone() for name, weight in (model.named_parameters() if model else ())}


def _differing(one: Weights, other: Weights) -> int:
    return sum(not torch.equal(weight, other[name]) for name, weight in one.items())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def figures(runs: int, steps: int) -> list[Figure]:
    """Measure, both sides in turn in every run."""
    own, default, _ = settings()
    sides = {own.name: partial(ours, own, steps), default.name: partial(theirs, default, steps)}
    return list(_figures(*measure(sides, runs).values()))


def _figures(mine: list[Resumed], peers: list[Resumed]) -> Iterator[Figure]:
    seconds: dict[str, Callable[[Resumed], float]] = {
        "ending, with the checkpoint on the disk": lambda one: one.ending,
        "going on, to the end of the next step": lambda one: one.going_on,
    }
    for name, of in seconds.items():
        value, peer = median(map(of, mine)), median(map(of, peers))
        spread = f"runs: {', '.join(f'{of(one):.2f}' for one in mine)}; peer {', '.join(f'{of(one):.2f}' for one in peers)}"
        yield beside(name, value, "s", peer, spread)
    yield beside(
        "checkpoint", mine[0].checkpoint_bytes / 1e6, "MB", peers[0].checkpoint_bytes / 1e6, "of one"
    )
    yield at_most(
        "tensors that are not the undisturbed run's", max(one.differing for one in mine), "tensors", 0
    )
    yield plain("the same, of the peer", max(one.differing for one in peers), "tensors")


def main() -> None:
    """Measure and print."""
    command(__doc__, figures, runs=3, steps=10, of_steps="of the undisturbed run, two at least")


if __name__ == "__main__":
    main()
