"""The end of a training whose loss is no number any more: which step, which batch, and the batch itself for whoever looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from safetensors.torch import save_file

from xstilts.errors import Problem
from xstilts_trainer.training.feed import StepBatch

BATCH: Final = "not-finite.safetensors"
_READABLE: Final = 0o644  # safetensors writes files that their owner alone may read


def save_batch(folder: Path, what: str, step: int, value: float, chosen: StepBatch) -> Path:
    """Write the batch of a step (0-based) as it was collated, token ids as the tokenizer has them; returns the file.

    Its metadata says what was not finite, the step (from 1), the task and the rows.
    """
    path = folder / BATCH
    tensors = {name: tensor.detach().cpu().clone() for name, tensor in chosen.collated.items()}
    metadata = {
        "what": what,
        "value": str(value),
        "step": str(step + 1),
        "task": chosen.task,
        "rows": json.dumps(chosen.rows, ensure_ascii=False),
    }
    temporary = path.with_name(f".{BATCH}.tmp")
    save_file(tensors, temporary, metadata)
    temporary.chmod(_READABLE)
    temporary.replace(path)
    return path


def problem(what: str, step: int, value: float, chosen: StepBatch, saved: Path | None) -> Problem:
    """What is said of it, with the rows of the batch; `saved` is its file."""
    where = f", saved in {saved}" if saved else ""
    return Problem(
        f"step {step + 1}, task {chosen.task}",
        f"the {what} must be finite, was {value}; lower the learning rate, or look at the batch{where}: "
        f"{', '.join(chosen.rows)}",
    )
