"""Batches on the device of the stage."""

from __future__ import annotations

from xstilts_trainer.data.batches import Batch
from xstilts_trainer.environment import device


def to_device(batch: Batch) -> Batch:
    """The batch on the device."""
    return {name: tensor.to(device()) for name, tensor in batch.items()}
