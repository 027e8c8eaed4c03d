"""The processes that train one model together: each takes its share of every batch, and all take the same step."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from xstilts.errors import Problem, SpecError
from xstilts.stage import Precision
from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.places import to_device
from xstilts_trainer.environment import device
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.precision import computed_in
from xstilts_trainer.ranks import RANK

T = TypeVar("T")
# Others wait while rank 0 waits for another process at the same stage, or scores dev: a dead one is noticed at once.
TIMEOUT = timedelta(days=1)


class Group:
    """The processes of a stage. One alone computes as if there were no group, bit for bit."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def purpose(self) -> tuple[str | int, ...]:
        """What the processes' random numbers differ by: nothing for rank 0."""
        return ("rank", self.rank) if self.rank else ()

    def broadcast(self, value: T) -> T:
        """Rank 0's value, in all of them: what JSON holds, and small.

        Not as a pickle, as torch would send it: whoever reached the processes' port could run code by one.
        """
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.rank == 0 else b""
        length = torch.tensor(len(text))
        dist.broadcast(length, src=0)
        said = torch.tensor(list(text) if text else [0] * int(length), dtype=torch.uint8)
        dist.broadcast(said, src=0)
        received: T = json.loads(bytes(said.tolist()))
        return received

    def any(self, fact: bool) -> bool:  # noqa: FBT001 - as the builtin
        """Whether it holds in any of them."""
        return self.sum(float(fact)) > 0

    def broadcast_tensors(self, tensors: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """Rank 0's tensors (on the CPU), in all of them."""
        shapes = self.broadcast(
            {
                name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
                for name, tensor in (tensors or {}).items()
            }
        )
        if self.size == 1:
            return tensors or {}
        received = {}
        for name, (shape, dtype) in shapes.items():
            received[name] = (
                tensors[name].contiguous() if tensors else torch.empty(shape, dtype=getattr(torch, dtype))
            )
            dist.broadcast(received[name], src=0)
        return received

    def loss(self, model: TaskModel, precision: Precision) -> GroupLoss:
        """What computes the loss of a batch, and in its backward pass the gradients of the whole group."""
        return GroupLoss(model, self, precision)

    def sum(self, value: float) -> float:
        """The sum of all processes' values, the same in each."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)


class GroupLoss:
    """The mean loss of a batch over its labels, whichever process holds their rows."""

    def __init__(self, model: TaskModel, group: Group, precision: Precision) -> None:
        self._group = group
        self._loss: nn.Module = _Forward(model, precision)
        if group.size > 1:
            # heads of the other tasks get no gradient in a step; buffers are numbers in order, the same in all processes
            self._loss = DistributedDataParallel(
                self._loss, find_unused_parameters=True, broadcast_buffers=False
            )

    def backward(self, task: str, batch: Batch, rows: int | None = None) -> Callable[[], float]:
        """Compute gradients of a whole batch, which is on the CPU.

        `rows`: how many each process computes at a time; all that it has where left out.

        Returns what reads the loss, the same in all processes: it waits for the device, and comes behind all that the step
        has for it.
        """
        share, mine = self._share(batch)
        parts = micro_batches(share, rows)
        if self._group.size == len(parts) == 1:
            whole: Tensor = self._loss(task, to_device(batch))
            whole.backward()  # type: ignore[no-untyped-call] # torch has no types here
            return whole.item
        terms = [label_count(part) if mine else 0 for part in parts]
        total = max(label_count(batch), 1)
        losses: list[Tensor] = []
        for number, (part, count) in enumerate(zip(parts, terms, strict=True), start=1):
            with self._summed(last=number == len(parts)):
                loss: Tensor = self._loss(task, to_device(part))
                # the wrapper takes the mean over processes: undone, and weighted by the labels of each part
                (loss * (count * self._group.size / total)).backward()  # type: ignore[no-untyped-call] # see above
            losses.append(loss.detach())

        def read() -> float:
            values = torch.stack(losses).tolist()
            return self._group.sum(sum(map(operator.mul, values, terms))) / total

        return read

    def _summed(self, *, last: bool) -> AbstractContextManager[None]:
        """Within it gradients are added up over micro-batches, and with the last one over processes too."""
        if last or not isinstance(self._loss, DistributedDataParallel):
            return nullcontext()
        return self._loss.no_sync()

    def _share(self, batch: Batch) -> tuple[Batch, bool]:
        """Every so manieth row; where there are fewer rows than processes, a row that does not count."""
        rows = slice(self._group.rank, None, self._group.size)
        share = {name: tensor[rows] for name, tensor in batch.items()}
        if len(next(iter(share.values()))):
            return share, True
        return {name: tensor[:1] for name, tensor in batch.items()}, False


class _Forward(nn.Module):
    """The loss as a module's forward pass, which is what torch wraps."""

    def __init__(self, model: TaskModel, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def forward(self, task: str, batch: Batch) -> Tensor:
        with computed_in(self.precision):
            return self.model.loss(task, batch)


def micro_batches(batch: Batch, rows: int | None) -> list[Batch]:
    """The batch in parts of so many rows, as it is padded; whole where there are no more, or None is said."""
    count = len(next(iter(batch.values())))
    size = min(rows or count, count)
    return [
        {name: tensor[start : start + size] for name, tensor in batch.items()}
        for start in range(0, count, size)
    ]


def label_count(batch: Batch) -> int:
    """Over how many labels the loss of a batch is the mean: examples, or tokens that carry one."""
    if "labels" in batch:
        return int((batch["labels"] != UNLABELLED).sum())
    return len(batch["start_positions"])


@contextmanager
def joined_group(environment: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """The group that the environment names (see `xstilts_trainer.ranks`); alone without one."""
    if RANK not in environment:
        yield Group()
        return
    rank, size = int(environment[RANK]), int(environment["XSTILTS_WORLD_SIZE"])
    if device().type == "cuda":
        _take_gpu(int(environment["XSTILTS_LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device().type == "cuda" else "gloo"
    dist.init_process_group(
        backend, init_method=environment["XSTILTS_RENDEZVOUS"], rank=rank, world_size=size, timeout=TIMEOUT
    )
    are_together = True  # also where they are interrupted, which is at the same step
    try:
        yield Group(rank, size)
    except Exception:
        # NCCL leaves together with the node's other processes: one that has failed would wait for them, and they for it
        are_together = False
        raise
    finally:
        if are_together:
            dist.destroy_process_group()


def _take_gpu(number: int) -> None:
    """Have everything that is called `cuda` be this GPU of the machine, from before NCCL asks which it is."""
    there = torch.cuda.device_count()
    if number >= there:
        raise SpecError(Problem("resources.gpus", f"must be at most {there}, the GPUs of the machine"))
    torch.cuda.set_device(number)
