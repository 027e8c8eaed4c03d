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
from xstilts.stage import Form, TrainSpec
from xstilts.task import TaskType

_FP32 = 4  # bytes
_ATTENTION = (
    2 * _FP32 + 1
)  # bytes kept of a head for a token that is seen: its weight, before and after dropout
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
    spec: TrainSpec, size: Size, pieces: float, choices: int, accelerator: Accelerator, gpus: int
) -> Memory | None:
    """The memory of a training on one of `gpus` GPUs, each of which holds the whole model; None on a CPU.

    The usual batch has sequences of `pieces`. In the longest, since like lengths meet, all are four times as long (assumed), or
    of the recipe's whole length.
    """
    if accelerator.memory is None:
        return None
    recipe = spec.hyperparameters
    is_text = spec.model.form is Form.TEXT_TO_TEXT
    tags = any(data.task.type is TaskType.TAGGING for data in spec.data)
    share = -(-recipe.batch_size // gpus)
    states = state_bytes(spec, size, gpus)
    gradients = _FP32 * trained_parameters(spec, size, on_cpu=False)

    def kept(length: float) -> float:
        """Of one row."""
        answer = (length if tags else 8.0) if is_text else 0.0
        return (1 if is_text else choices) * activation_bytes(size, length, answer)

    usual = kept(min(pieces, recipe.max_length))
    longest = kept(min(4 * pieces, recipe.max_length))

    def needed(rows: int) -> Range:
        """When so many rows are computed at a time."""
        held = states + _CONTEXT + (gradients if rows < share else 0)  # of the parts before
        return Range(
            held + rows * usual * 0.7,  # fused kernels keep less than the formula says
            held + rows * usual,
            held + rows * longest * 1.15,  # blocks of memory that are free and of no use; assumed
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


def activation_bytes(size: Size, length: float, answer: float) -> float:
    """What is kept of one sequence for its backward pass, and of the answer that a decoder learns to say.

    As Korthikanti et al. (2022, arXiv:2205.05198, section 4.1) count it for a layer, with 32 bits a number and a byte a
    dropout mask: of a token 8 h numbers, two vectors of the feed-forward layer's width and 2 h masks, and 2 a s numbers
    with a s masks of its attention to s tokens. What transformers' T5 keeps was counted (tests/estimate does it again):
    more of norms, and seven vectors of its gated feed-forward layer. Fused attention on a GPU may keep less.
    """
    kept = size.layers * _layer(size, length, length)
    if answer:
        cross = answer * (3 * size.hidden + 2 * size.attention) + length * 2 * size.attention
        attention = answer * length * _ATTENTION * size.heads
        kept += size.decoder_layers * (_layer(size, answer, answer) + _FP32 * cross + attention)
        kept += 4 * _FP32 * size.vocabulary * answer  # logits, their softmax, and both gradients
    return kept


def _layer(size: Size, length: float, seen: float) -> float:
    if size.gated:
        numbers = 6 * size.hidden + 4 * size.attention + 7 * size.feed_forward
        masks = 2 * size.hidden + size.feed_forward
    else:
        numbers = 8 * size.hidden + 2 * size.feed_forward
        masks = 2 * size.hidden
    attention = _ATTENTION * size.heads * (seen + size.relative)
    return length * (_FP32 * numbers + masks + attention)
