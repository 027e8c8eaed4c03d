"""Whether a training fits into a GPU's memory: weights, gradients, optimiser, and what is kept for the backward pass.

Where its batches do not, the trainer computes them in parts (`xstilts_trainer.training.micro_batches`): before the first
step it tries the longest batch beside all that the step will hold, and halves it until it fits. So the same is reckoned here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xstilts.catalogue.sizes import Size
from xstilts.estimate.hardware import GIB, Accelerator
from xstilts.estimate.ranges import Range
from xstilts.estimate.work import trained_parameters
from xstilts.stage import Form, Precision, TrainSpec
from xstilts.task import TaskType

_FP32, _BF16 = 4, 2  # bytes
_ATTENTION = {  # bytes kept of a head for a token that is seen: its weight, before and after dropout, and a mask
    Precision.FP32: 2 * _FP32 + 1,
    Precision.BF16: _FP32 + _BF16 + 1,
}
_CONTEXT = 1 * GIB  # CUDA's own and the libraries'; assumed


class Fits(StrEnum):
    """Whether a stage's memory is there, the best first."""

    YES = "fits"
    PARTS = "fits in parts"
    PERHAPS = "may not fit"
    NO = "does not fit"


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU that a training needs.

    Attributes:
        states: weights, gradients and the optimiser's.
        needed: all, when a batch is computed whole.
        row: all, when a batch is computed a row at a time.
        there: what the GPU has.
        batch: the rows of a batch that are this GPU's.
        rows: how many of them are computed at a time.
    """

    states: float
    needed: Range
    row: Range
    there: float
    batch: int
    rows: int

    @property
    def fits(self) -> Fits:
        """By the longest batch, which is the one that the trainer tries; of a single row by a usual one too."""
        if self.needed.high <= self.there:
            return Fits.YES
        if self.row.high <= self.there:
            return Fits.PARTS
        return Fits.PERHAPS if self.row.likely <= self.there else Fits.NO

    def to_json(self) -> dict[str, Any]:
        """In bytes, and in rows."""
        return {
            "states": round(self.states),
            "needed": self.needed.to_json(0),
            "row": self.row.to_json(0),
            "there": round(self.there),
            "batch": self.batch,
            "rows": self.rows,
            "fits": self.fits.value,
        }


def training_memory(
    spec: TrainSpec,
    size: Size,
    pieces: float,
    choices: int,
    accelerator: Accelerator,
    gpus: int,
) -> Memory | None:
    """The memory of a training on one of `gpus` GPUs, each of which holds the whole model; None on a CPU.

    The usual batch has sequences of `pieces`. In the longest, since like lengths meet, all are four times as long (assumed), or
    of the recipe's whole length. A batch needs at least the larger of its gradients and of what it keeps for them, which goes
    as they come; likely, and with memory that is free and of no use, both.
    """
    if accelerator.memory is None:
        return None
    recipe = spec.hyperparameters
    precision = accelerator.speed(recipe.precision).precision
    is_text = spec.model.form is Form.TEXT_TO_TEXT
    tags = any(data.task.type is TaskType.TAGGING for data in spec.data)
    share = -(-recipe.batch_size // gpus)
    states = state_bytes(spec, size, gpus)
    gradients = _FP32 * trained_parameters(spec, size, on_cpu=False)
    casts = cast_bytes(spec, size) if precision is Precision.BF16 else 0.0
    fused = not size.gated and not size.relative  # kernels that take no distances keep no table of attention

    def kept(length: float, *, fused: bool) -> float:
        """Of one row."""
        answer = (length if tags else 8.0) if is_text else 0.0
        return (1 if is_text else choices) * activation_bytes(size, length, answer, precision, fused=fused)

    usual = kept(min(pieces, recipe.max_length), fused=fused)
    longest = kept(min(4 * pieces, recipe.max_length), fused=False)

    def needed(rows: int) -> Range:
        """When so many rows are computed at a time."""
        held = states + _CONTEXT + (gradients if rows < share else 0)  # of the parts before
        return Range(
            held - gradients + max(gradients, casts + rows * usual),
            held + casts + rows * usual,
            held + casts + rows * longest * 1.15,  # blocks of memory that are free and of no use; assumed
        )

    rows = share
    while rows > 1 and needed(rows).high > accelerator.memory:
        rows = (rows + 1) // 2  # as the trainer does
    return Memory(states, needed(share), needed(1), accelerator.memory, share, rows)


def state_bytes(spec: TrainSpec, size: Size, gpus: int) -> float:
    """Weights, gradients of those that are trained, what is held beside them, and buckets of several processes."""
    trained = trained_parameters(spec, size, on_cpu=False)
    whole = size.parameters if spec.model.form is Form.TEXT_TO_TEXT else size.encoder_parameters
    copies = 1 + spec.hyperparameters.held_copies(selects=bool(spec.selection))
    if gpus > 1:
        copies += 1  # DistributedDataParallel's buckets
    return _FP32 * (whole + copies * trained)


def cast_bytes(spec: TrainSpec, size: Size) -> float:
    """The copies in bf16 of all matrices that a token is multiplied with, which the backward pass reads."""
    weights = size.encoder_weights
    if spec.model.form is Form.TEXT_TO_TEXT:
        weights += size.decoder_weights + size.vocabulary * size.hidden
    elif spec.continued_pretraining is not None:
        weights += size.vocabulary * size.hidden
    return _BF16 * weights


def activation_bytes(
    size: Size, length: float, answer: float, precision: Precision, *, fused: bool = False
) -> float:
    """What is kept of one sequence for its backward pass, and of the answer that a decoder learns to say.

    As Korthikanti et al. (2022, arXiv:2205.05198, section 4.1) count it for a layer, with 32 bits a number and a byte a
    dropout mask: of a token 8 h numbers, two vectors of the feed-forward layer's width and 2 h masks, and 2 a s numbers
    with a s masks of its attention to s tokens, which `fused` attention does not keep. What transformers' T5 keeps was counted
    (tests/estimate does it again): more of norms, and seven vectors of its gated feed-forward layer.

    In bf16, as torch's autocast on a GPU computes, what norms and residuals keep stays fp32; products keep 16 bits a number, but
    each has a copy of its own of what it reads; powers and what follows them, in T5's activation, are fp32 again.
    """
    kept = size.layers * _layer(size, length, length, precision, fused=fused)
    if answer:
        if precision is Precision.FP32:
            cross = _FP32 * (answer * (3 * size.hidden + 2 * size.attention) + length * 2 * size.attention)
        else:
            cross = answer * (2 * _FP32 * size.hidden + _BF16 * (size.hidden + 2 * size.attention))
            cross += length * 2 * _BF16 * (size.attention + size.hidden)
        attention = answer * length * _ATTENTION[precision] * size.heads
        kept += size.decoder_layers * (_layer(size, answer, answer, precision) + cross + attention)
        kept += 4 * _FP32 * size.vocabulary * answer  # logits, their softmax, and both gradients
    return kept


def _layer(size: Size, length: float, seen: float, precision: Precision, *, fused: bool = False) -> float:
    exact = precision is Precision.FP32
    hidden, attended, wide = size.hidden, size.attention, size.feed_forward
    if size.gated:
        norms = 4 * hidden
        products = _FP32 * (2 * hidden + 4 * attended) if exact else _BF16 * (5 * hidden + 4 * attended)
        products += wide * (7 * _FP32 if exact else 4 * _FP32 + 3 * _BF16)
        masks = 2 * hidden + wide
    else:
        norms = 2 * hidden
        products = _FP32 * (6 * hidden + 2 * wide) if exact else _BF16 * (8 * hidden + 2 * wide)
        masks = 2 * hidden
    attention = 0 if fused else _ATTENTION[precision] * size.heads * (seen + size.relative)
    return length * (_FP32 * norms + products + masks + attention)
