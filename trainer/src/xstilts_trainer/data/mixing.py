"""One task or several in one training run: which batch of which task a step takes, as a pure function of seed and step.

Nothing is carried from step to step, so a run that is resumed at a step takes the same batches as one that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xstilts_trainer.data.batches import Indices, training_batches
from xstilts_trainer.data.order import draws

if TYPE_CHECKING:
    from xstilts.stage import Mixing


class Mixture:
    """The batches of a training run. Each step draws from one task; a task's batches come in its own epochs' order.

    One task is the mixture of one. The order in which the tasks are given changes nothing.
    """

    def __init__(
        self,
        lengths: Mapping[str, Indices],
        batch_size: int,
        epochs: int,
        seed: int,
        mixing: Mixing | None = None,
    ) -> None:
        """Draw the task of every step.

        Args:
            lengths: the lengths of the training features of each task, by its name.
            batch_size: features a batch.
            epochs: an epoch has as many steps as one pass through every task, each counted up to the cap.
            seed: decides the order of batches, and the tasks of the steps.
            mixing: how tasks are sampled; None only with one task.
        """
        self._lengths = {name: lengths[name] for name in sorted(lengths)}
        self._batch_size = batch_size
        self._seed = seed
        sizes = {name: len(of_task) for name, of_task in self._lengths.items()}
        self.probabilities = task_probabilities(sizes, mixing)
        cap = mixing.examples_cap if mixing else None
        self.steps_per_epoch = sum(-(-min(size, cap or size) // batch_size) for size in sizes.values())
        self.steps = epochs * self.steps_per_epoch
        self._tasks = _drawn(list(self.probabilities.values()), self.steps, seed)
        # the how-manieth batch of its task each step takes
        self._turns = np.zeros(self.steps, dtype=np.int64)
        for task in range(len(sizes)):
            mine = self._tasks == task
            self._turns[mine] = np.arange(mine.sum())
        self._epoch = lru_cache(maxsize=2 * len(sizes))(self._batches_of)

    def batch(self, step: int) -> tuple[str, Indices]:
        """The task of a step, counted from 0, and the indices of its features."""
        name = list(self._lengths)[self._tasks[step]]
        epoch, place = divmod(int(self._turns[step]), -(-len(self._lengths[name]) // self._batch_size))
        return name, self._epoch(name, epoch)[place]

    def _batches_of(self, name: str, epoch: int) -> list[Indices]:
        return training_batches(self._lengths[name], self._batch_size, self._seed, name, epoch)


def task_probabilities(sizes: Mapping[str, int], mixing: Mixing | None) -> dict[str, float]:
    """How likely a step draws each task, from the numbers of features n (T5, arXiv 1910.10683, section 3.5.2; jiant's samplers).

    Proportional: min(n, cap). Uniform: 1. Temperature: min(n, cap) ** (1 / temperature). Each divided by the sum. A cap
    bounds how often a task is drawn, not which of its features are seen.
    """
    cap = mixing.examples_cap if mixing else None
    exponent = 1.0
    if mixing and mixing.strategy == "Uniform":
        exponent = 0.0
    elif mixing and mixing.strategy == "Temperature":
        exponent = 1 / float(mixing.temperature or 1)
    weights = {name: min(size, cap or size) ** exponent for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def _drawn(probabilities: list[float], steps: int, seed: int) -> npt.NDArray[np.int64]:
    """The number of the task of each step."""
    uniform = (draws(steps, seed, "tasks") >> np.uint64(11)) * 2.0**-53  # 53 bits: [0, 1)
    return np.minimum(
        np.searchsorted(np.cumsum(probabilities), uniform, side="right"), len(probabilities) - 1
    )
