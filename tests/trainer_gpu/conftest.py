"""Benches with little data, and a simulated GPU that the trainer takes for one."""

from __future__ import annotations

import pytest
import torch
from tests.trainer_gpu.simulated import SimulatedGpu
from tests.trainer_stages.conftest import Bench, make_data, tiny_encoder  # noqa: F401 - a fixture
from tests.trainer_stages.test_text_to_text import TextBench, tiny_mt5  # noqa: F401 - a fixture
from torch import nn
from transformers import masking_utils

from xstilts.stage import Form


class Small:
    """A bench whose tasks have three batches."""

    def data(self, type_):
        if type_ not in self._data:
            folder = make_data(self.root / str(type_), type_, train=20, other=6)
            self._data[type_] = self.store.put(str(type_), folder)
        return self._data[type_]


class SmallBench(Small, Bench):
    pass


class SmallTextBench(Small, TextBench):
    pass


@pytest.fixture
def bench(tmp_path, tiny_encoder):  # noqa: F811 - the fixture
    return SmallBench(tmp_path, tiny_encoder)


@pytest.fixture
def texts(tmp_path, tiny_mt5):  # noqa: F811 - the fixture
    return SmallTextBench(tmp_path, tiny_mt5)


@pytest.fixture(params=list(Form), ids=str)
def either(request):
    """A bench of each form."""
    return request.getfixturevalue("bench" if request.param is Form.ENCODER_HEAD else "texts")


@pytest.fixture
def gpu(monkeypatch):
    """The trainer's device, in the test and in what it calls."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Simulated GPU")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    # asks the driver whether a graph is captured
    monkeypatch.setattr(
        torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda _optimiser: None
    )
    # transformers asks less of fake tensors than of others
    monkeypatch.setattr(masking_utils, "is_tracing", lambda _tensor=None: False)
    monkeypatch.setattr(nn.Module, "cpu", to_cpu)
    with SimulatedGpu() as simulated:
        yield simulated


def to_cpu(module: nn.Module) -> None:
    """As torch's, which cannot swap a fake tensor that something refers to weakly."""
    made: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there = nn.Parameter(parameter.detach().cpu(), parameter.requires_grad)
                part._parameters[name] = made.setdefault(id(parameter), there)
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else buffer.cpu()
