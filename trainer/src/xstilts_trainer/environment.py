"""What can change the bits of an output, and is no part of the stage: versions, hardware, threads, precision."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xstilts.errors import Problem, UnavailableError

if TYPE_CHECKING:
    import torch

DEFAULT_THREADS = 2
_PACKAGES = ("xstilts", "xstilts-trainer", "torch", "transformers", "tokenizers", "numpy", "peft")


def threads() -> int:
    """The number of threads that the stage was given: OMP_NUM_THREADS, else 2."""
    return int(os.environ.get("OMP_NUM_THREADS") or DEFAULT_THREADS)


def make_deterministic(number_of_threads: int) -> None:
    """Fix torch's threads and algorithms, before anything is computed."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
    import torch  # noqa: PLC0415 - torch takes seconds to import: stages that need none go without

    torch.set_num_threads(number_of_threads)
    torch.use_deterministic_algorithms(True)
    # a debugging aid that costs 3 % of a step; the module makes it an attribute of its class
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def device() -> torch.device:
    """The accelerator, where there is one, else the CPU."""
    import torch  # noqa: PLC0415 - see make_deterministic

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_gpu(devices: Path = Path("/dev")) -> None:
    """See that a torch for GPUs can use the one that the machine gives it, unless CUDA_VISIBLE_DEVICES is empty.

    Raises:
        UnavailableError: it cannot, since the driver is too old, say. On the CPU a stage would take days and hold the GPU.
    """
    import torch  # noqa: PLC0415 - see make_deterministic

    given = os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(devices.glob("nvidia[0-9]*"))
    if not given or torch.version.cuda is None or torch.cuda.is_available():
        return
    told = "torch finds none"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call] # torch has no types here
    except (AssertionError, RuntimeError) as error:  # which says why
        told = str(error)
    raise UnavailableError(
        Problem(
            "GPU", f"must be one that torch can use: {told} (to compute on the CPU set CUDA_VISIBLE_DEVICES=)"
        )
    )


def describe_environment() -> dict[str, Any]:
    """Versions and hardware, for the manifest."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "hardware": describe_hardware(threads()),
        "precision": "fp32",
    }


def describe_hardware(number_of_threads: int, processes: int = 0) -> dict[str, Any]:
    """The machine, and what was used of it: threads, and the GPU of each of the processes, where it has some."""
    gpu = describe_gpu() if processes else {}
    return {
        **({"gpus": processes, **gpu, "driver": _driver()} if gpu else {}),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": number_of_threads,
    }


def describe_gpu() -> dict[str, str]:
    """The model of this process' GPU, and the CUDA whose kernels it runs; empty where there is none."""
    if device().type != "cuda":
        return {}
    import torch  # noqa: PLC0415 - see make_deterministic

    return {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}


def driver_version(text: str) -> str:
    """The version of NVIDIA's driver, from what its kernel module says of itself."""
    found = re.search(r"\d+\.\d+[.\d]*", text)
    return found[0] if found else "unknown"


def _driver() -> str:
    information = Path("/proc/driver/nvidia/version")
    return driver_version(information.read_text(encoding="utf-8") if information.is_file() else "")


def _processor() -> str:
    """The CPU's model name, as Linux tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
