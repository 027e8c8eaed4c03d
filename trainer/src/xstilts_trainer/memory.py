"""Memory of a device that does not suffice: no fault that goes away by itself, so it is said what to set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from xstilts.errors import Problem, SpecError

LARGER: Final = "use a GPU that has more"
SMALLER: Final = f"lower batchSize or maxLength by an override of spec.training, or {LARGER}"


@contextmanager
def enough_memory(place: str, rows: int, remedy: str = SMALLER) -> Iterator[None]:
    """The device's memory suffices for what is done in here.

    Args:
        place: what is done, for the error.
        rows: how many rows of a batch are computed at a time.
        remedy: what to do, for the error.

    Raises:
        SpecError: it does not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise too_little(place, rows, remedy, str(error)) from error


def too_little(place: str, rows: int, remedy: str, told: str) -> SpecError:
    """The error; `told` is what the device says."""
    return SpecError(
        Problem(place, f"batches of {rows} must fit into the GPU's memory, and do not: {remedy} ({told})")
    )


def has_own_memory(device: torch.device) -> bool:
    """Whether the device's memory is its own: it may be too little for a batch, which is then computed in parts."""
    return device.type != "cpu"
