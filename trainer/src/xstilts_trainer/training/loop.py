"""The training loop: steps, a dev score at each epoch's end, checkpoints, and the best epoch's weights at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xstilts.errors import DataError, UserError
from xstilts.stage import Hyperparameters
from xstilts_trainer.memory import enough_memory
from xstilts_trainer.models.packing import is_packed, set_packed
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.precision import precision_of
from xstilts_trainer.progress import Progress
from xstilts_trainer.training.checkpoint import (
    Checkpoint,
    drop_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from xstilts_trainer.training.feed import Feed, StepBatch
from xstilts_trainer.training.group import Group
from xstilts_trainer.training.interrupts import Interrupts
from xstilts_trainer.training.micro_batches import fitting_rows
from xstilts_trainer.training.not_finite import problem, save_batch
from xstilts_trainer.training.optimiser import (
    clip_gradients,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)
from xstilts_trainer.training.randomness import seed_torch
from xstilts_trainer.training.selection import DevScores, best_epoch
from xstilts_trainer.training.text_feed import InterleavedFeed

CHECKPOINT_SECONDS = 600.0

AnyFeed: TypeAlias = Feed | InterleavedFeed
Validate = Callable[[Callable[[], None]], DevScores]
"""Scores the model on dev; calls its argument between batches."""


@dataclass
class TrainingState:
    """All that a run has come to, beside weights and optimiser.

    Attributes:
        step: the steps that were taken.
        losses: of each of them.
        epochs: the dev scores at the end of each epoch.
        best: the weights of the best epoch so far; empty where they are the current ones.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    epochs: list[DevScores] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What of it is no tensor."""
        return {"losses": self.losses, "epochs": self.epochs}


class Trainer:
    """Trains a model on a feed; killed at any point and run again, it ends with the same bits."""

    def __init__(
        self,
        model: TaskModel,
        feed: AnyFeed,
        hyperparameters: Hyperparameters,
        *,
        seed: int,
        validate: Validate | None,
        checkpoints: Path,
        keep: Callable[[], None],
        settings: Mapping[str, Any],
        progress: Progress,
        group: Group,
        probe: bool = False,
    ) -> None:
        """Prepare a run.

        Args:
            model: as it is before step 0.
            feed: the data.
            hyperparameters: the recipe.
            seed: of dropout.
            validate: scores the dev set; None keeps the last epoch.
            checkpoints: the folder of this stage's checkpoints.
            keep: brings the folder to where another machine finds it; called when it has changed.
            settings: what may change bits (versions): a checkpoint of other settings is not continued.
            progress: is told each step.
            group: the processes that train together: each computes its share of every batch, and rank 0 alone scores
                dev and writes checkpoints.
            probe: find before the first step how many rows of a batch fit into the device's memory at a time.
        """
        self._model = model
        self._feed = feed
        self._hyperparameters = hyperparameters
        self._seed = seed
        self._validate = validate
        self._folder = checkpoints
        self._keep = keep
        self._settings = dict(settings)
        self._progress = progress
        self._group = group
        self._probe = probe
        self._precision = precision_of(hyperparameters)
        self._loss = group.loss(model, self._precision)
        self._optimiser = make_optimiser(model, hyperparameters)
        self._parameters = [p for group in self._optimiser.param_groups for p in group["params"]]
        self._saved = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._ahead: StepBatch | None = (
            None  # the next step's batch, made while a GPU is busy with this one's
        )
        self.steps = hyperparameters.epochs * feed.steps_per_epoch
        # the rows that each process computes at a time: its whole share, unless they do not fit
        self.micro_batch = -(-hyperparameters.batch_size // group.size)
        self.state = TrainingState()

    @property
    def kept_steps(self) -> int:
        """The steps behind the weights that the model is left with."""
        return (best_epoch(self.state.epochs) + 1) * self._feed.steps_per_epoch

    def run(self, interrupts: Interrupts) -> None:
        """Train from the last checkpoint, or the start, to the end; the model is left with the best epoch's weights.

        Args:
            interrupts: signals are deferred to the points where the run can be saved; behind the last, there is nothing to save.

        Raises:
            DataError: a loss or a gradient is not finite; the batch is saved.
            SpecError: a batch does not fit into the device's memory.
            KeyboardInterrupt: asked to end; a checkpoint is written.
        """
        if not self._resume() and self._probe:
            self._find_micro_batch()
        try:
            self._run_epochs(interrupts)
        except KeyboardInterrupt:
            self._save()
            raise
        if self.state.best:
            _set_weights(self._model, self.state.best)

    def _run_epochs(self, interrupts: Interrupts) -> None:
        for epoch in range(len(self.state.epochs), self._hyperparameters.epochs):
            self._model.train()
            while self.state.step < (epoch + 1) * self._feed.steps_per_epoch:
                self._check(interrupts)
                self._take_step()
                if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                    self._save()
            self._end_epoch(epoch, interrupts)
        self._check(interrupts)

    def _check(self, interrupts: Interrupts) -> None:
        """End at the same step in all processes, whichever was asked to."""
        if self._group.any(interrupts.asked):
            raise KeyboardInterrupt

    def _take_step(self) -> None:
        step = self.state.step
        chosen, self._ahead = self._ahead or self._feed.batch(step), None
        seed_torch(self._seed, "step", step, *self._group.purpose)
        set_learning_rate(self._optimiser, learning_rate(self._hyperparameters, step, self.steps))
        self._optimiser.zero_grad()
        with enough_memory(f"step {step + 1}, task {chosen.task}", self.micro_batch):
            read_loss = self._loss.backward(chosen.task, chosen.batch, self.micro_batch)
            norm = clip_gradients(self._parameters, float(self._hyperparameters.max_grad_norm))
            self._optimiser.step()
            if step + 1 < self.steps:
                self._ahead = self._feed.batch(step + 1)
            # a GPU has got the whole step by now, and is waited for here alone
            value = read_loss()
        for what, found in (("loss", value), ("gradients' norm", float(norm))):
            if not math.isfinite(found):
                raise self._not_finite(what, step, found, chosen)
        self.state.losses.append(value)
        self.state.step += 1
        self._metrics["loss"] = value
        self._progress.update(self.state.step / self.steps, self._metrics)

    def _not_finite(self, what: str, step: int, value: float, chosen: StepBatch) -> DataError:
        """The error that ends the run; the batch lies beside the checkpoints."""
        saved = None
        if self._group.rank == 0:
            saved = save_batch(self._folder, what, step, value, chosen)
            self._bring()
        return DataError(problem(what, step, value, chosen, saved))

    def _end_epoch(self, epoch: int, interrupts: Interrupts) -> None:
        scores: DevScores = {}
        if self._validate is not None:
            self._model.eval()
            scores = self._scores(self._validate, interrupts)
            self._metrics["dev"] = fmean(scores.values())
            self._progress.note(f"epoch {epoch + 1}: dev {self._metrics['dev']:.2f}")
        self.state.epochs.append(scores)
        best = best_epoch(self.state.epochs)
        if best != epoch:
            return
        last = epoch + 1 == self._hyperparameters.epochs
        self.state.best = {} if last or self._validate is None else _copy(_weights(self._model))

    def _scores(self, validate: Validate, interrupts: Interrupts) -> DevScores:
        """Rank 0's scores, in all processes; None is sent where it was asked to end meanwhile."""
        scores: DevScores | None = None
        if self._group.rank == 0:
            with suppress(KeyboardInterrupt):
                scores = validate(interrupts.check)
        scores = self._group.broadcast(scores)
        if scores is None:
            raise KeyboardInterrupt
        return scores

    def _save(self) -> None:
        if self._group.rank != 0:
            return
        tensors = {
            **{f"model/{name}": tensor for name, tensor in _weights(self._model).items()},
            **{f"best/{name}": tensor for name, tensor in self.state.best.items()},
        }
        optimiser: dict[str, dict[str, Any]] = {}
        for index, values in self._optimiser.state_dict()["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser/{index}/{name}"] = value
                else:
                    optimiser.setdefault(str(index), {})[name] = value
        state = {
            **self.state.to_json(),
            "optimiser": optimiser,
            "settings": self._settings,
            "threads": torch.get_num_threads(),
            "packed": is_packed(self._model.packable),
            "microBatch": self.micro_batch,
        }
        save_checkpoint(self._folder, Checkpoint(self.state.step, tensors, state))
        self._bring()
        self._saved = time.monotonic()

    def _bring(self) -> None:
        """Bring what was saved to where another machine finds it."""
        try:
            self._keep()
        except UserError as error:
            self._progress.note(f"what was saved is on this machine alone: {error}")

    def _find_micro_batch(self) -> None:
        whole = self.micro_batch
        self.micro_batch = fitting_rows(
            self._model,
            self._feed.longest(),
            whole,
            later=self._hyperparameters.held_copies(selects=self._validate is not None),
            precision=self._precision,
            group=self._group,
        )
        if self.micro_batch < whole:
            self._progress.note(f"{self.micro_batch} of {whole} rows of a batch are computed at a time")

    def _resume(self) -> bool:
        """Take up the last checkpoint; returns whether there is one to be continued."""
        checkpoint = self._checkpoint()
        if checkpoint is not None and checkpoint.state["settings"] != self._settings:
            self._progress.note(
                "the checkpoint is of other versions, hardware or precision: training starts anew"
            )
            checkpoint = None
        if checkpoint is None:
            self._drop_unread()
            return False
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimiser": {}}
        for name, tensor in checkpoint.tensors.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = tensor
        torch.set_num_threads(checkpoint.state["threads"])  # another number might change bits
        # as would the other form; a checkpoint that names none was padded
        set_packed(self._model.packable, packed=checkpoint.state.get("packed", False))
        self.micro_batch = checkpoint.state.get("microBatch", self.micro_batch)  # once it was the whole batch
        _set_weights(self._model, groups["model"])
        moments: dict[int, dict[str, Any]] = {
            int(index): dict(values) for index, values in checkpoint.state["optimiser"].items()
        }
        for name, tensor in groups["optimiser"].items():
            index, _, key = name.partition("/")
            moments.setdefault(int(index), {})[key] = tensor
        plain = self._optimiser.state_dict()
        self._optimiser.load_state_dict({"state": moments, "param_groups": plain["param_groups"]})
        self.state = TrainingState(
            checkpoint.step, checkpoint.state["losses"], checkpoint.state["epochs"], groups["best"]
        )
        self._progress.note(f"continuing after step {checkpoint.step} of {self.steps}")
        return True

    def _drop_unread(self) -> None:
        """Drop checkpoints that are not continued: of more steps than the next ones, they would stand before them."""
        if self._group.rank == 0 and drop_checkpoints(self._folder):
            self._bring()

    def _checkpoint(self) -> Checkpoint | None:
        """Rank 0's last checkpoint, in all processes: the others may see another file system."""
        found = load_checkpoint(self._folder) if self._group.rank == 0 else None
        if self._group.size == 1:
            return found
        plain = self._group.broadcast(None if found is None else (found.step, dict(found.state)))
        if plain is None:
            return None
        tensors = self._group.broadcast_tensors(dict(found.tensors) if found else None)
        return Checkpoint(plain[0], tensors, plain[1])


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name; one that is shared stands once, as safetensors wants it."""
    return {
        name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad
    }


@torch.no_grad()
def _set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in _weights(model).items():
        parameter.copy_(weights[name])


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
