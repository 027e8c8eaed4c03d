"""Linear layers by oneDNN hold to torch's own: outputs, all gradients, and what they leave to torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from xstilts_trainer.models import linear as layers
from xstilts_trainer.models.linear import Linear, linear, use_onednn

SIZES = st.integers(1, 70)


@pytest.fixture(autouse=True, scope="module")
def by_onednn():
    """oneDNN computes here, also on a processor on which it is the slower one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "_BY_ONEDNN", True)
        yield


def gradients(layer, inputs, weight, bias, toward):
    """Outputs, and the gradients of all that asks for one, from leaves of their own."""
    leaves = [one.clone().requires_grad_() if one is not None else None for one in (inputs, weight, bias)]
    outputs = layer(*leaves)
    outputs.backward(toward)
    return [outputs.detach(), *(leaf.grad for leaf in leaves if leaf is not None)]


@given(rows=SIZES, batch=st.integers(1, 3), features=SIZES, outputs=SIZES, biased=st.booleans(), seed=SIZES)
def test_outputs_and_gradients_are_those_of_torch(rows, batch, features, outputs, biased, seed):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, rows, features, generator=draw)
    weight = torch.randn(outputs, features, generator=draw)
    bias = torch.randn(outputs, generator=draw) if biased else None
    toward = torch.randn(batch, rows, outputs, generator=draw)
    ours = gradients(linear, inputs, weight, bias, toward)
    exact = gradients(
        functional.linear, *(one if one is None else one.double() for one in (inputs, weight, bias, toward))
    )
    for one, other in zip(ours, exact, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-4)


def test_inputs_and_gradients_in_any_order_in_memory():
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(5, 7, 6, generator=draw).transpose(0, 1)
    toward = torch.randn(4, 5, 7, generator=draw).permute(2, 1, 0)
    weight = torch.randn(6, 4, generator=draw).t()
    ours = gradients(linear, inputs, weight, None, toward)
    torchs = gradients(functional.linear, inputs, weight, None, toward)
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_frozen_part_gets_no_gradient():
    inputs, weight, bias = torch.randn(3, 4), torch.randn(2, 4, requires_grad=True), torch.randn(2)
    linear(inputs, weight, bias).sum().backward()
    assert weight.grad is not None
    assert inputs.grad is None
    assert bias.grad is None


def test_the_same_bits_again_and_from_another_place_in_memory():
    draw = torch.Generator().manual_seed(1)
    inputs, weight = torch.randn(33, 48, generator=draw), torch.randn(31, 48, generator=draw)
    toward = torch.randn(33, 31, generator=draw)
    first = gradients(linear, inputs, weight, None, toward)
    for offset in range(1, 17):
        elsewhere = torch.empty(inputs.numel() + offset)[offset:].view_as(inputs).copy_(inputs)
        again = gradients(linear, elsewhere, weight, None, toward)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers_are_left_to_torch(dtype):
    inputs, weight = torch.randn(3, 4, dtype=dtype), torch.randn(2, 4, dtype=dtype)
    assert torch.equal(linear(inputs, weight), functional.linear(inputs, weight))


def test_no_rows_are_no_rows():
    assert linear(torch.empty(0, 4), torch.randn(2, 4)).shape == (0, 2)


def test_a_models_layers_keep_their_parameters():
    class Own(nn.Linear):
        """Somebody's own layer."""

    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 2, bias=False), Own(2, 2)))
    before = dict(model.named_parameters())
    use_onednn(model)
    assert [type(layer) for layer in (model[0], model[2][0], model[2][1])] == [Linear, Linear, Own]
    assert all(parameter is before[name] for name, parameter in model.named_parameters())


def test_without_avx512_a_layer_is_torchs_own(monkeypatch):
    monkeypatch.setattr(layers, "_BY_ONEDNN", False)
    monkeypatch.setattr(layers, "_product", lambda *_: pytest.fail("oneDNN was asked"))
    inputs, weight = torch.randn(33, 48, requires_grad=True), torch.randn(31, 48)
    outputs = linear(inputs, weight)
    outputs.sum().backward()
    assert torch.equal(outputs, functional.linear(inputs, weight))
