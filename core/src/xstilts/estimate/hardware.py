"""What a stage may run on, and how many of its operations a second are likely to be used.

Peaks are those of fp32, since the trainer computes in fp32 and leaves torch's TF32 off: not the many times higher ones of
tensor cores. Peaks, memory and bandwidth are the makers'. What part of a peak a training reaches, and what a step and a
stage take beside their arithmetic, has not been measured on any GPU by this project: these are assumptions, and wide. The
CPU's numbers were fitted to runs on one machine (docs/measurements.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xstilts.errors import Problem, UserError
from xstilts.estimate.ranges import Range

GIB = 2**30


@dataclass(frozen=True)
class Accelerator:
    """A kind of hardware.

    Attributes:
        name: what the command line calls it.
        peak: FLOPs a second in fp32, of one GPU, or of one thread of a CPU.
        memory: bytes of a GPU; None where it is the machine's.
        bandwidth: bytes a second between memory and processor.
        utilisation: the part of the peak that useful tokens get (padding is waste): low is the lowest cost, so the
            highest part.
        step: seconds of a training step beside arithmetic and the optimiser's traffic: launches, clipping, batches.
        start: seconds of a stage before and after its work: start, libraries, loading, tokenising, saving.
        scaling: the part of their speed that several devices keep together.
    """

    name: str
    peak: float
    memory: float | None
    bandwidth: float
    utilisation: Range
    step: Range
    start: Range
    scaling: Range

    @property
    def is_cpu(self) -> bool:
        """Whether its devices are threads."""
        return self.memory is None


def _gpu(name: str, *, peak: float, memory: int, bandwidth: float) -> Accelerator:
    return Accelerator(
        name,
        peak=peak * 1e12,
        memory=memory * GIB,
        bandwidth=bandwidth * 1e9,
        # Assumed. PaLM's table 3 gives 21 to 46 % for large models on tensor cores, in batches of millions of tokens;
        # fp32 units are easier to fill, batches of 32 short sequences harder.
        utilisation=Range(0.65, 0.45, 0.2),
        # Assumed: some thousand kernels of 5 to 10 microseconds, and clipping, which brings a norm of every row of
        # every matrix to the CPU.
        step=Range(0.02, 0.06, 0.15),
        start=Range(20, 60, 180),  # assumed: torch, a checkpoint of gigabytes read and hashed, tokenising
        scaling=Range(0.98, 0.9, 0.7),  # assumed: gradients are exchanged in fp32 after every step
    )


ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        accelerator.name: accelerator
        for accelerator in (
            # NVIDIA A100 Tensor Core GPU data sheet, 80 GB SXM: FP32 19.5 TFLOPS, 2,039 GB/s
            _gpu("A100", peak=19.5, memory=80, bandwidth=2039),
            # NVIDIA H100 Tensor Core GPU data sheet, SXM: FP32 67 TFLOPS, 80 GB, 3.35 TB/s
            _gpu("H100", peak=67, memory=80, bandwidth=3350),
            # NVIDIA H200 Tensor Core GPU data sheet, SXM: FP32 67 TFLOPS, 141 GB, 4.8 TB/s
            _gpu("H200", peak=67, memory=141, bandwidth=4800),
            # NVIDIA L4 Tensor Core GPU data sheet: FP32 30.3 TFLOPS, 24 GB, 300 GB/s
            _gpu("L4", peak=30.3, memory=24, bandwidth=300),
            # NVIDIA V100 data sheet, SXM2 32 GB: single precision 15.7 TFLOPS, 900 GB/s
            _gpu("V100", peak=15.7, memory=32, bandwidth=900),
            # NVIDIA T4 data sheet: single precision 8.1 TFLOPS, 16 GB, 320 GB/s (300 in earlier ones)
            _gpu("T4", peak=8.1, memory=16, bandwidth=320),
            # Fitted to one machine: an AMD EPYC with AVX-512, where a thread multiplies matrices at 250 GFLOPS. The high
            # estimate is for a processor with AVX2 alone, or one that others use too.
            Accelerator(
                "CPU",
                peak=250e9,
                memory=None,
                bandwidth=8e9,  # a thread's share
                utilisation=Range(0.75, 0.5, 0.12),
                step=Range(0.01, 0.02, 0.05),
                start=Range(6, 13, 40),
                scaling=Range(0.95, 0.85, 0.6),  # assumed
            ),
        )
    }
)
CPU = ACCELERATORS["CPU"]
DEFAULT = ACCELERATORS["A100"]


def accelerator(name: str) -> Accelerator:
    """An accelerator by its name, in capitals or not.

    Raises:
        UserError: none is called so.
    """
    found = ACCELERATORS.get(name.upper())
    if found is None:
        raise UserError(Problem("--accelerator", f"must be one of {', '.join(ACCELERATORS)}, was {name!r}"))
    return found
