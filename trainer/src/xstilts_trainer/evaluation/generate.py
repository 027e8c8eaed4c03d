"""Pieces that a text-to-text model says, one after the other: the most probable of those that may come next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xstilts_trainer.data.text_targets import TagReader
from xstilts_trainer.models.task_model import Batch
from xstilts_trainer.models.text_to_text import TextToText

Choose = Callable[[Tensor], Tensor]
"""From the log-probabilities [B, V] of the next piece to the piece [B] that is said; called once a step."""


@dataclass(frozen=True)
class Said:
    """What was said of B inputs.

    Attributes:
        pieces: of each input, without what ends it.
        log_probability: [B] of the whole, its end included, as the model has it without constraints.
        first: [B, V] the log-probabilities of the first piece.
    """

    pieces: list[list[int]]
    log_probability: Tensor
    first: Tensor


def generate(model: TextToText, batch: Batch, choose: Choose, end_id: int) -> Said:
    """Let the model answer a batch; it must choose to end at last."""
    source = model.encode(batch)
    rows, device = source.mask.shape[0], source.hidden.device
    shown, cache = model.start(rows, device), None
    going = torch.ones(rows, dtype=torch.bool, device=device)
    total = torch.zeros(rows, device=device)
    steps: list[Tensor] = []
    first: Tensor | None = None
    while going.any():
        hidden, cache = model.continue_decoding(source, shown, cache)
        log_probabilities = model.logits(hidden[:, -1]).log_softmax(-1)
        first = log_probabilities if first is None else first
        chosen = choose(log_probabilities).where(going, end_id)
        said = log_probabilities.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        total += said.where(going, 0.0)
        going &= chosen != end_id
        steps.append(chosen)
        shown = chosen.unsqueeze(-1)
    assert first is not None  # noqa: S101 - a batch has rows
    answers = [row[: row.index(end_id)] for row in torch.stack(steps, dim=-1).tolist()]
    return Said(answers, total, first)


class FreeChoice:
    """Anything but what stands in no text, of at most so many pieces."""

    def __init__(self, forbidden: Tensor, end_id: int, limit: int, *, may_be_empty: bool) -> None:
        self._forbidden = forbidden
        self._end_id = end_id
        self._left = limit
        self._may_end = may_be_empty

    def __call__(self, log_probabilities: Tensor) -> Tensor:
        """The most probable piece that is not forbidden."""
        if not self._left:
            return torch.full_like(log_probabilities[:, 0], self._end_id, dtype=torch.long)
        self._left -= 1
        possible = log_probabilities.index_fill(-1, self._forbidden, -torch.inf)
        if not self._may_end:
            possible[:, self._end_id] = -torch.inf
            self._may_end = True
        return possible.argmax(-1)


class TagChoice:
    """A tag for each word, and nothing else."""

    def __init__(self, readers: Sequence[TagReader], end_id: int) -> None:
        self._readers = readers
        self._end_id = end_id

    def __call__(self, log_probabilities: Tensor) -> Tensor:
        """The most probable piece of those that continue tags."""
        allowed = [reader.allowed or [self._end_id] for reader in self._readers]
        most = max(map(len, allowed))
        # a list is filled up with what it holds already: the choice is the same
        candidates = torch.tensor(
            [pieces + pieces[:1] * (most - len(pieces)) for pieces in allowed],
            device=log_probabilities.device,
        )
        best = log_probabilities.gather(-1, candidates).argmax(-1, keepdim=True)
        chosen = candidates.gather(-1, best).squeeze(-1)
        for reader, piece in zip(self._readers, chosen.tolist(), strict=True):
            if reader.allowed:
                reader.push(piece)
        return chosen
