"""A GPU that is not there: tensors without numbers on it that keep its rules, and a note of each time that the CPU waits for it."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nested._internal.nested_int import NestedIntNode
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten
READING = (aten._local_scalar_dense.default, aten.item.default, aten.is_nonzero.default)
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
# Of what torch.use_deterministic_algorithms lists as refused on a GPU, all that a language model could come to use.
REFUSED = {
    "nll_loss2d_forward",
    "nll_loss2d_backward",
    "_ctc_loss_backward",
    "_embedding_bag_dense_backward",
    "put_",
    "histc",
    "median",
    "nanmedian",
    "scatter_reduce",
    "scatter_reduce_",
    "index_reduce",
    "grid_sampler_2d_backward",
    "upsample_linear1d_backward",
    "adaptive_avg_pool2d_backward",
    "max_unpool2d",
}


class SimulatedGpu(TorchFunctionMode):
    """Within it `cuda` is a device of torch's fake tensors; what is on the CPU is real.

    torch raises where an operation gets tensors of two devices, or where a size hangs on numbers of the device; here one is
    refused that has no deterministic form. For a backward pass over such tensors torch's own engine needs a GPU: here
    Python calls the derivative of each step.

    Attributes:
        waits: where the CPU waited for the device: it read from it, or copied to it what is not pinned or not non-blocking,
            while there was something to do.
        holds: whether what is asked of it is so. Any number that is read is 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.holds: Callable[[], bool] = lambda: True
        self._fake = _Fake(self)
        self._pinned: dict[int, Tensor] = {}
        self._is_busy = False
        self._instead: dict[Any, Callable[..., Any]] = {
            Tensor.pin_memory: self._pin,
            Tensor.backward: self._backward,
            torch.autograd.grad: self._gradients_of,
            scaled_dot_product_attention: _attention,
        }

    def __torch_function__(
        self, function: Any, _types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in self._instead:
            return self._instead[function](*args, **kwargs)
        if function in {Tensor.tolist, Tensor.numpy} and isinstance(args[0], FakeTensor):
            return function(args[0].cpu())
        if any(map(_is_on_gpu, (*args, *kwargs.values()))):
            with self._fake:  # what torch makes beside, such as indices of a list, is made there
                return function(*args, **kwargs)
        return function(*args, **kwargs)

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether it is what `pin_memory` gave."""
        return id(tensor) in self._pinned

    def work(self) -> None:
        """Note that it has something to do."""
        self._is_busy = True

    def wait(self, what: str) -> None:
        """Note that the CPU waits until nothing is left to do, and the line of the trainer that does."""
        if not self._is_busy:
            return
        self._is_busy = False
        frames = [frame for frame in traceback.extract_stack() if "xstilts_trainer" in frame.filename]
        where = f"{Path(frames[-1].filename).name}: {frames[-1].line}" if frames else "no line of the trainer"
        self.waits.append(f"{what} ({where})")

    def _pin(self, tensor: Tensor) -> Tensor:
        pinned = tensor.clone()
        self._pinned[id(pinned)] = pinned
        return pinned

    def _backward(self, loss: Tensor, **_others: Any) -> None:
        for leaf, gradient in self._gradients(loss).items():
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient

    def _gradients_of(
        self, losses: Sequence[Tensor], inputs: Iterable[Tensor], **_others: Any
    ) -> list[Tensor | None]:
        (loss,) = losses
        gradients = self._gradients(loss)
        return [gradients.get(parameter) for parameter in inputs]

    @torch.no_grad()
    def _gradients(self, loss: Tensor) -> dict[Tensor, Tensor]:
        """The gradient of each leaf of a loss' graph."""
        found: dict[Tensor, Tensor] = {}
        arrived: dict[Any, dict[int, Tensor]] = defaultdict(dict)
        arrived[loss.grad_fn][0] = torch.ones_like(loss)
        for node in _in_order(loss.grad_fn):
            gradients = arrived.pop(node, {})
            if not gradients:
                continue
            if hasattr(node, "variable"):
                found[node.variable] = gradients[0]
                continue
            with self._fake:
                outputs = node(*map(gradients.get, range(max(gradients) + 1)))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            for (following, place), gradient in zip(node.next_functions, outputs, strict=True):
                if following is None or gradient is None:
                    continue
                if not gradient.is_nested:
                    wanted = following._input_metadata[place]
                    gradient = gradient.sum_to_size(wanted.shape).to(wanted.dtype)  # noqa: PLW2901 - as the engine does
                held = arrived[following].get(place)
                arrived[following][place] = gradient if held is None else held + gradient
        return found


class _Fake(FakeTensorMode):
    """torch's fake tensors, and what they leave to a real device."""

    avoid_device_init = True  # torch asks whether there is a GPU, which the trainer is told there is

    def __init__(self, gpu: SimulatedGpu) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self._gpu = gpu
        self._numbers = count()

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name in REFUSED:
            raise RuntimeError(f"{name} has no deterministic implementation on a GPU")
        if func.overloadpacket is aten.to:  # in inference mode it comes whole
            with self:
                return func.decompose(*args, **kwargs)
        if func in READING:
            self._gpu.wait("reads a number")
            is_asked = func is aten.is_nonzero.default or args[0].dtype == torch.bool
            return self._gpu.holds() if is_asked else torch.ones((), dtype=args[0].dtype).item()
        if func is aten._to_copy.default:
            return self._copy(func, types, args, kwargs)
        if func in INDEXED and any(not index.is_cuda for index in args[1] if index is not None):
            self._gpu.wait("copies indices to the device")
        if func.namespace == "aten" and not func.is_view and "empty" not in name:
            self._gpu.work()
        return super().dispatch(func, types, args, kwargs)

    def _copy(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        source, there = args[0], kwargs.get("device")
        if isinstance(source, FakeTensor) and there is not None and there.type == "cpu":
            self._gpu.wait("reads a tensor")
            with torch._C._DisableTorchDispatch():
                return torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        is_queued = kwargs.get("non_blocking") and self._gpu.is_pinned(source)
        copied = super().dispatch(func, types, args, kwargs)
        self._gpu.work()
        if not isinstance(source, FakeTensor) and not is_queued:
            self._gpu.wait("copies to the device")
        return copied

    def create_symbolic_nested_int(self, **_others: Any) -> torch.SymInt:
        """The length of sequences of several lengths: a sign that is equal to itself alone, as of tensors with numbers."""
        return torch.SymInt(NestedIntNode(next(self._numbers), 1))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    **_others: Any,
) -> Tensor:
    """Something of the right shape, type and place that hangs on all inputs: the kernel is chosen by a real device."""
    if query.is_nested:
        return query + key + value
    scores = query @ key.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, 0) if attn_mask.dtype == torch.bool else scores + attn_mask
    return scores.softmax(-1).to(value.dtype) @ value


def _is_on_gpu(value: object) -> bool:
    """Whether a tensor is there, or what names it."""
    if isinstance(value, str):
        return value.split(":")[0] == "cuda"
    return isinstance(value, FakeTensor) or (isinstance(value, torch.device) and value.type == "cuda")


def _in_order(root: Any) -> Iterable[Any]:
    """The nodes of a graph, each behind all that it gets gradients from."""
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [
                (node, True),
                *((following, False) for following, _ in node.next_functions if following),
            ]
    return reversed(order)
