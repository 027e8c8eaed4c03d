"""Linear layers by whichever library computes fp32 matrix products faster on this CPU (of bf16, torch's own are oneDNN's).

torch gives fp32 matrix products to MKL, which takes AVX-512 on Intel's processors alone: on AMD's that have it, oneDNN, which torch
carries too, is more than twice as fast, forward and backward, and three quarters of a training step are such products. Without
AVX-512 it is slower than MKL (docs/benchmarks/trainer.md). torch offers oneDNN as an operator for inference only, so that its
derivative is written out here. Anywhere else a layer is torch's own.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_BY_ONEDNN: Final[bool] = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call] # no types
    and torch.backends.cpu.get_cpu_capability() == "AVX512"
)


class Linear(nn.Linear):
    """nn.Linear, by oneDNN where that is faster: the same parameters, and the same numbers but for rounding."""

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., I] -> [..., O]."""
        return linear(inputs, self.weight, self.bias)


def use_onednn(model: nn.Module) -> None:
    """Let oneDNN compute a model's linear layers where it is faster, those of subclasses of nn.Linear left alone; parameters stay."""
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Inputs [..., I] times weight [O, I], transposed, plus bias [O]: [..., O]."""
    if torch.is_autocast_enabled("cpu") or not _is_served(inputs) or not _is_served(weight):
        return functional.linear(inputs, weight, bias)
    outputs: Tensor = _Linear.apply(inputs, weight, bias)
    return outputs


class _Linear(torch.autograd.Function):
    """The product and its derivative."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """[..., I], [O, I], [O] -> [..., O]."""
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients of the inputs, the weight and the bias, those that are asked for."""
        inputs, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        wanted = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if wanted[0] else None,
            _product(rows.t(), inputs.flatten(0, -2).t()) if wanted[1] else None,
            rows.sum(0) if wanted[2] else None,
        )


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., I], [O, I] in any order in memory, [O] -> [..., O]."""
    # private, but what torch's own compiler makes of a linear layer
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")  # noqa: SLF001
    return outputs


def _is_served(tensor: Tensor) -> bool:
    """Whether oneDNN is to compute with it."""
    fp32_on_cpu = tensor.device.type == "cpu" and tensor.dtype == torch.float32
    return fp32_on_cpu and tensor.numel() > 0 and _BY_ONEDNN
