"""What a stage may run on, and how many of its operations a second are likely to be used.

A GPU that has units for bf16 is taken to compute in it, and in fp32 where a stage asks for that (TF32 is off), as the trainer
does. Peaks, memory and bandwidth are the makers'. What part of a peak a training reaches, and what a step and a stage take
beside their arithmetic, has not been measured on any GPU by this project: these are assumptions, and wide. The CPU's numbers
were fitted to runs on one machine (docs/measurements.md), which computes in bf16 where a stage asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xstilts.errors import Problem, UserError
from xstilts.estimate.ranges import Range
from xstilts.stage import Precision

GIB = 2**30


@dataclass(frozen=True)
class Speed:
    """How fast matrix products are computed in one precision.

    Attributes:
        precision: theirs.
        peak: FLOPs a second, of one GPU, or of one thread of a CPU.
        utilisation: the part of the peak that useful tokens get (padding is waste): low is the lowest cost, so the
            highest part.
    """

    precision: Precision
    peak: float
    utilisation: Range


@dataclass(frozen=True)
class Accelerator:
    """A kind of hardware.

    Attributes:
        name: what the command line calls it.
        fp32: its speed in fp32.
        bf16: its speed in bf16; None where it is a GPU without units for it.
        memory: bytes of a GPU; None where it is the machine's.
        bandwidth: bytes a second between memory and processor.
        step: seconds of a training step beside arithmetic and the optimiser's traffic: launches, clipping, batches.
        start: seconds of a stage before and after its work: start, libraries, loading, tokenising, saving.
        scaling: the part of their speed that several devices keep together.
    """

    name: str
    fp32: Speed
    bf16: Speed | None
    memory: float | None
    bandwidth: float
    step: Range
    start: Range
    scaling: Range

    @property
    def is_cpu(self) -> bool:
        """Whether its devices are threads."""
        return self.memory is None

    def speed(self, asked: Precision | None = None) -> Speed:
        """Of what a stage asks for, or of what the trainer takes here where it asks for nothing: a GPU's bf16, a CPU's fp32."""
        wanted = asked or (Precision.FP32 if self.is_cpu else Precision.BF16)
        return self.fp32 if wanted is Precision.FP32 or self.bf16 is None else self.bf16


# Assumed. PaLM's table 3 (Chowdhery et al. 2022, arXiv:2204.02311) gives 21 to 46 % for large models on tensor cores, in batches
# of millions of tokens. Batches of 32 short sequences fill them less; fp32 units, which are slower, are easier to fill.
_OF_TENSOR_CORES = Range(0.4, 0.2, 0.07)
_OF_FP32_UNITS = Range(0.65, 0.45, 0.2)


def _gpu(name: str, *, fp32: float, bf16: float | None, memory: int, bandwidth: float) -> Accelerator:
    """Peaks in TFLOPS, of bf16 those without sparsity; memory in GiB and bandwidth in GB/s."""
    return Accelerator(
        name,
        fp32=Speed(Precision.FP32, fp32 * 1e12, _OF_FP32_UNITS),
        bf16=None if bf16 is None else Speed(Precision.BF16, bf16 * 1e12, _OF_TENSOR_CORES),
        memory=memory * GIB,
        bandwidth=bandwidth * 1e9,
        # Assumed: some thousand kernels of 5 to 10 microseconds, which Python starts one after another.
        step=Range(0.02, 0.06, 0.15),
        start=Range(20, 60, 180),  # assumed: torch, a checkpoint of gigabytes read and hashed, tokenising
        scaling=Range(0.98, 0.9, 0.7),  # assumed: gradients are exchanged in fp32 after every step
    )


ACCELERATORS: Mapping[str, Accelerator] = MappingProxyType(
    {
        accelerator.name: accelerator
        for accelerator in (
            # NVIDIA A100 Tensor Core GPU data sheet, 80 GB SXM: FP32 19.5 TFLOPS, BFLOAT16 312, 2,039 GB/s
            _gpu("A100", fp32=19.5, bf16=312, memory=80, bandwidth=2039),
            # NVIDIA H100 Tensor Core GPU data sheet, SXM: FP32 67 TFLOPS, BFLOAT16 1,979 with sparsity, which is half of it
            # without, 80 GB, 3.35 TB/s
            _gpu("H100", fp32=67, bf16=989.5, memory=80, bandwidth=3350),
            # NVIDIA H200 Tensor Core GPU data sheet, SXM: FP32 67 TFLOPS, BFLOAT16 1,979 with sparsity, 141 GB, 4.8 TB/s
            _gpu("H200", fp32=67, bf16=989.5, memory=141, bandwidth=4800),
            # NVIDIA L4 Tensor Core GPU data sheet: FP32 30.3 TFLOPS, BFLOAT16 242 with sparsity, 24 GB, 300 GB/s
            _gpu("L4", fp32=30.3, bf16=121, memory=24, bandwidth=300),
            # NVIDIA V100 data sheet, SXM2 32 GB: single precision 15.7 TFLOPS, 900 GB/s; no bf16
            _gpu("V100", fp32=15.7, bf16=None, memory=32, bandwidth=900),
            # NVIDIA T4 data sheet: single precision 8.1 TFLOPS, 16 GB, 320 GB/s (300 in earlier ones); no bf16
            _gpu("T4", fp32=8.1, bf16=None, memory=16, bandwidth=320),
            # Fitted to one machine: an AMD EPYC with AVX-512, where a thread multiplies matrices at 250 GFLOPS. The high
            # estimate is for a processor with AVX2 alone, or one that others use too.
            Accelerator(
                "CPU",
                fp32=Speed(Precision.FP32, 250e9, Range(0.75, 0.5, 0.12)),
                # A thread's peak is twice that of fp32 with AVX-512 BF16. Steps took seven tenths of fp32's time there, and less than
                # half of it with AMX: likely and low. Without units it is emulated: assumed to take twice fp32's time.
                bf16=Speed(Precision.BF16, 500e9, Range(0.8, 0.35, 0.03)),
                memory=None,
                bandwidth=8e9,  # a thread's share
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
