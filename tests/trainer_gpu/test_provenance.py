"""The GPU that a stage runs on: one that torch can use, named by the manifest, and the same for all steps of a training."""

from __future__ import annotations

import pytest
import torch
from tests.trainer_stages.test_text_to_text import Interrupted

from xstilts.errors import EXIT_FAILED, UnavailableError
from xstilts.task import TaskType
from xstilts_trainer.environment import check_gpu, driver_version
from xstilts_trainer.stages import run_stage

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


def test_a_checkpoint_of_another_gpu_is_not(bench, gpu, monkeypatch, capsys):
    """Its kernels sum in another order."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1, select=False)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Another GPU")
    bench.run(stage)
    assert "training starts anew" in capsys.readouterr().err
    hardware = bench.store.lookup(stage.key).environment["hardware"]
    assert (hardware["gpu"], hardware["gpus"]) == ("Another GPU", 1)
    assert hardware["cuda"] == torch.version.cuda


def test_a_gpu_that_torch_cannot_use_is_said_and_not_passed_over(tmp_path, monkeypatch):
    """Its driver is too old, or there is none: the stage would go on on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    check_gpu(tmp_path)
    for name in ("nvidiactl", "nvidia0"):
        (tmp_path / name).touch()
    with pytest.raises(UnavailableError, match="GPU: must be one that torch can use: ") as error:
        check_gpu(tmp_path)
    assert error.value.exit_code == EXIT_FAILED  # another node's may do
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_gpu(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.version, "cuda", None)  # who installs such a torch wants the CPU
    check_gpu(tmp_path)


def test_the_driver_is_read_as_its_kernel_module_tells_it():
    """NVIDIA's own module, and its open one."""
    own = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version: 12.2.0\n"
    open_ = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65  Release Build\nGCC version: 12.2.0\n"
    assert [driver_version(text) for text in (own, open_, "")] == ["535.104.05", "580.65", "unknown"]
