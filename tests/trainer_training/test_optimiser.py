"""Schedules, groups and clipping are transformers' and torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.trainer_models.conftest import tiny_model
from torch import nn
from transformers import Trainer, get_constant_schedule_with_warmup, get_linear_schedule_with_warmup

from xstilts.stage import Hyperparameters
from xstilts_trainer.training.optimiser import (
    clip_gradients,
    learning_rate,
    make_optimiser,
    norm_by_rows,
    parameter_groups,
)

RECIPE = Hyperparameters(
    learning_rate="3e-5", epochs=1, batch_size=4, max_length=8, warmup_ratio="0.1", weight_decay="0.01"
)


@pytest.mark.parametrize("schedule", ["Linear", "Constant"])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_schedules_are_those_of_transformers(schedule, steps):
    recipe = RECIPE.model_copy(update={"schedule": schedule})
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-5)
    warmup = -(-steps // 10)
    theirs = (
        get_linear_schedule_with_warmup(optimiser, warmup, steps)
        if schedule == "Linear"
        else get_constant_schedule_with_warmup(optimiser, warmup)
    )
    for step in range(steps):
        assert learning_rate(recipe, step, steps) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
        optimiser.step()
        theirs.step()


def test_biases_and_normalisation_do_not_decay():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3), nn.LayerNorm(3))
    decayed, undecayed = parameter_groups(model, 0.01)
    assert [p.shape for p in decayed["params"]] == [(5, 4), (3, 4)]
    assert decayed["weight_decay"] == 0.01
    assert len(undecayed["params"]) == 3
    assert undecayed["weight_decay"] == 0


@pytest.mark.parametrize(
    ("model_type", "suffix"),
    [
        ("xlm-roberta", "ForMaskedLM"),
        ("bert", "ForMaskedLM"),
        ("deberta-v2", "Model"),
        ("mt5", "ForConditionalGeneration"),
    ],
)
def test_what_decays_is_what_decays_in_transformers_trainer(model_type, suffix):
    model = tiny_model(model_type, suffix)
    named = dict(model.named_parameters(remove_duplicate=False))
    theirs = {id(named[name]) for name in Trainer.get_decay_parameter_names(None, model)}
    decayed, undecayed = parameter_groups(model, 0.01)
    assert {id(parameter) for parameter in decayed["params"]} == theirs
    assert len(decayed["params"]) + len(undecayed["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["AdamW", "Adafactor"])
def test_an_optimiser_goes_downhill(name):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    recipe = RECIPE.model_copy(update={"optimizer": name, "learning_rate": "1e-2"})
    optimiser = make_optimiser(model, recipe)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = model(torch.ones(1, 4)).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_clipping_is_that_of_torch(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    gradients = [torch.randn(shape, generator=generator) * scale for shape in ((7, 5), (3,), (2, 3, 4))]
    ours = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    theirs = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameters in (ours, theirs):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
    norm = clip_gradients(ours, 1.0)
    assert norm == pytest.approx(nn.utils.clip_grad_norm_(theirs, 1.0).item(), rel=1e-5)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


SHAPES = ((7, 5), (3,), (2, 3, 4), (300, 16))


@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_the_norm_by_rows_is_that_of_torch(scale, seed):
    """Which a GPU's is."""
    generator = torch.Generator().manual_seed(seed)
    gradients = [torch.randn(shape, generator=generator) * scale for shape in SHAPES]
    assert nn.utils.get_total_norm(gradients).item() == pytest.approx(norm_by_rows(gradients), rel=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_norm_that_is_not_finite_is_told(value):
    gradients = [torch.ones(4, 2), torch.tensor([1.0, value])]
    assert norm_by_rows(gradients) == pytest.approx(value, nan_ok=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_gpu_is_not_waited_for():
    generator = torch.Generator().manual_seed(1)
    gradients = [torch.randn(shape, generator=generator) for shape in SHAPES]
    parameters = [nn.Parameter(torch.zeros_like(gradient, device="cuda")) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        norm = clip_gradients(parameters, 1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = norm_by_rows(gradients)
    assert float(norm) == pytest.approx(expected, rel=1e-6)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad.cpu(), gradient / (expected + 1e-6))
