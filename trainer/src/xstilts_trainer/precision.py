"""In which numbers a model's matrix products are computed: fp32, or bf16 with weights, sums and losses in fp32.

bf16 is torch's autocast: weights and optimiser stay fp32, each product rounds what it reads to 8 bits of mantissa. What a
stage does not ask for is the device's: bf16 on a GPU that has it, where it is several times as fast, fp32 on a CPU. A
CPU is asked for bf16 with profit only where it has units for it (AMX, AVX-512 BF16).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from xstilts.stage import Hyperparameters, Precision
from xstilts_trainer.environment import device


def precision_of(recipe: Hyperparameters) -> Precision:
    """What the stage asks for, else what its device is best at."""
    if recipe.precision is not None:
        return recipe.precision
    # Emulated, it is slower than fp32.
    has_units = device().type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision.BF16 if has_units else Precision.FP32


def computed_in(precision: Precision) -> AbstractContextManager[object]:
    """Within it products are computed so; a backward pass follows its forward pass, also outside."""
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=precision is Precision.BF16)


def in_fp32() -> AbstractContextManager[object]:
    """Within it fp32 tensors are multiplied as such, whatever is around it."""
    return torch.autocast(device().type, enabled=False)
