"""torch's random numbers as a pure function of the stage's seed and of what they are for."""

from __future__ import annotations

import torch

from xstilts_trainer.data.order import draws


def seed_torch(seed: int, *purpose: str | int) -> None:
    """Set torch's generators (CPU and GPU) for one purpose.

    Called before each step, it makes dropout a function of seed and step: a resumed run needs no generator's state.
    """
    torch.manual_seed(int(draws(1, seed, *purpose)[0] >> 1))
