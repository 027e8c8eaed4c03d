"""Where in a batch its tokens and labels stand, found before the batch goes to a GPU: to ask there is to wait for all its work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.environment import device

TOKENS: Final = "tokens"
LENGTHS: Final = "lengths"
LABELLED: Final = "labelled"


def tokens(batch: Mapping[str, Tensor]) -> Tensor:
    """The places [P] of a batch's tokens, of padding none, in its flattened `attention_mask`."""
    return batch[TOKENS] if TOKENS in batch else _places(batch["attention_mask"] == 1)


def lengths(batch: Mapping[str, Tensor]) -> Tensor:
    """How many tokens each of a batch's N sequences has [N]; on the CPU also where the batch is on a GPU."""
    return batch[LENGTHS] if LENGTHS in batch else batch["attention_mask"].flatten(0, -2).sum(dim=1)


def labelled(batch: Mapping[str, Tensor]) -> Tensor:
    """The places [M] of a batch's labels in its flattened `labels`, those without one left out."""
    return batch[LABELLED] if LABELLED in batch else _places(batch["labels"] != UNLABELLED)


def to_device(batch: Batch) -> Batch:
    """The batch on the stage's device, whole or a part of one: it takes what is said here with it.

    The copies are queued there as all work is; what is copied from stays until they are done.
    """
    there = device()
    if there.type == "cpu":
        return batch
    known = {TOKENS: tokens(batch)}
    if "labels" in batch:
        known[LABELLED] = labelled(batch)
    on_device = {
        name: tensor.pin_memory().to(there, non_blocking=True) for name, tensor in (batch | known).items()
    }
    return {**on_device, LENGTHS: lengths(batch)}


def _places(chosen: Tensor) -> Tensor:
    return chosen.flatten().nonzero().squeeze(1)
