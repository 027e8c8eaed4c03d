"""How many rows of a batch are computed at a time: all of them, or as many as the memory of the device holds.

A step adds up the gradients of its micro-batches: they are those of the whole batch, but for the order of sums and the draws of
dropout. So the number, once it is found, holds for the whole run.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from xstilts.stage import Precision
from xstilts_trainer.data.places import to_device
from xstilts_trainer.memory import LARGER, too_little
from xstilts_trainer.models.task_model import Batch, TaskModel
from xstilts_trainer.precision import computed_in
from xstilts_trainer.training.feed import StepBatch
from xstilts_trainer.training.group import Group


def fitting_rows(
    model: TaskModel,
    batches: Iterable[StepBatch],
    rows: int,
    *,
    later: int,
    precision: Precision,
    group: Group,
) -> int:
    """`rows`, halved until so many of each batch go forward and back in every process; the model stays as it is.

    Args:
        model: as it is before the first step.
        batches: those that need most.
        rows: of a process's share of a batch.
        later: copies of what is trained for which nothing has been taken yet, beside gradients.
        precision: of the computation.
        group: the processes.

    Raises:
        SpecError: not even one row does.
    """
    model.train()
    whole = rows
    for chosen in batches:
        while True:
            copies = later + (rows < whole)  # one more: the gradients of the micro-batches before
            lack = _lack(model, chosen, rows, precision, copies)
            if not group.any(lack is not None):
                break
            if rows == 1:
                remedy = f"lower maxLength by an override of spec.training, or {LARGER}"
                raise too_little(f"task {chosen.task}", 1, remedy, lack or "another process")
            rows = (rows + 1) // 2
    return rows


def _lack(model: TaskModel, chosen: StepBatch, rows: int, precision: Precision, copies: int) -> str | None:
    """What the device says where its memory does not suffice; None where it does."""
    told = None
    try:
        part = to_device({name: of[:rows] for name, of in chosen.batch.items()})
        _go(model, chosen.task, part, precision, copies)
    except torch.OutOfMemoryError as error:
        told = str(error)
    torch.cuda.empty_cache()  # here, where neither the error nor its frames hold tensors any more
    return told


def _go(model: TaskModel, task: str, batch: Batch, precision: Precision, copies: int) -> None:
    """Forward and back beside so many copies of what is trained."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    later = [torch.empty_like(parameter) for parameter in parameters for _ in range(copies)]
    with computed_in(precision):
        loss = model.loss(task, batch)
    torch.autograd.grad(loss, parameters, allow_unused=True)
    del later
