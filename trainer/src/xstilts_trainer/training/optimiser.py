"""Optimisers, learning-rate schedules and gradient clipping, with transformers' semantics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from transformers.optimization import Adafactor

from xstilts.stage import Hyperparameters


def make_optimiser(model: nn.Module, hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """AdamW or Adafactor over the parameters that are trained.

    AdamW is torch's fused one: a third of the foreach one's time on a CPU, and as deterministic. Adafactor runs at the
    schedule's rate, with neither parameter scaling nor a relative step (transformers' advice for T5).
    """
    rate = float(hyperparameters.learning_rate)
    groups = parameter_groups(model, float(hyperparameters.weight_decay))
    if hyperparameters.optimizer == "Adafactor":
        return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False)  # type: ignore[no-untyped-call] # transformers has no types
    return torch.optim.AdamW(groups, lr=rate, eps=float(hyperparameters.adam_epsilon), fused=True)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: weights, which decay, and biases and normalisation layers, which do not, as in transformers' Trainer.

    The biases of T5's relative positions are a table of embeddings.
    """
    undecayed = {
        id(parameter)
        for path, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if name.endswith("bias")
        or path.endswith("relative_attention_bias")
        or "norm" in type(module).__name__.lower()
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if id(p) not in undecayed], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in undecayed], "weight_decay": 0.0},
    ]


def learning_rate(hyperparameters: Hyperparameters, step: int, steps: int) -> float:
    """The rate of a step (0-based): linear warm-up, then linear decay to 0 after `steps`, or constant.

    As transformers' get_linear_schedule_with_warmup and get_constant_schedule_with_warmup.
    """
    peak = float(hyperparameters.learning_rate)
    warmup = math.ceil(steps * float(hyperparameters.warmup_ratio))
    if step < warmup:
        return peak * step / warmup
    if hyperparameters.schedule == "Constant":
        return peak
    return peak * max(0, steps - step) / max(1, steps - warmup)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the rate of the step."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float) -> float | Tensor:
    """Scale gradients so that their global L2 norm is at most `max_norm`, as torch's clip_grad_norm_; returns the norm.

    On a device with its own memory the norm stays there: who reads it waits for the device.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not all(gradient.is_cpu for gradient in gradients):
        return nn.utils.clip_grad_norm_(parameters, max_norm)  # no table of embeddings is cut there
    norm = norm_by_rows(gradients)
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        torch._foreach_mul_(gradients, scale)
    return norm


def norm_by_rows(gradients: Iterable[Tensor]) -> float:
    """The global norm on a CPU: the sum over rows is exactly rounded, so that rows of zero gradient change no bit of it."""
    return math.sqrt(math.fsum(square for gradient in gradients for square in _row_squares(gradient)))


def _row_squares(gradient: Tensor) -> list[float]:
    norms: list[float] = torch.linalg.vector_norm(gradient, dim=-1).double().square().flatten().tolist()
    return norms
