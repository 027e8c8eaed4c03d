"""Masked language modelling: which tokens are to be predicted, and what stands in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.order import draws

KEPT, CHANGED = 0.1, 0.1  # of the chosen tokens; the others become the mask


class Masking:
    """BERT's rule (Devlin et al. 2019): of the chosen tokens 80 % are masked, 10 % another token, 10 % as they are."""

    def __init__(self, share: float, mask_id: int, special_ids: Sequence[int], vocabulary: int) -> None:
        """Set the rule.

        Args:
            share: of the tokens that are no special ones, how many are to be predicted.
            mask_id: of the mask.
            special_ids: never to be predicted.
            vocabulary: its size.
        """
        self._share = share
        self._mask_id = mask_id
        self._special_ids = torch.tensor(sorted(special_ids))
        self._vocabulary = vocabulary

    def __call__(self, batch: Batch, *key: int | str) -> Batch:
        """The batch [B, T] with masked `input_ids`, and `labels` that hold what stood there; a pure function of the key."""
        ids = batch["input_ids"]
        chance, change, other = (
            torch.from_numpy((draws(ids.numel(), *key, name) >> np.uint64(11)) * 2.0**-53).view(ids.shape)
            for name in ("chosen", "changed", "other")
        )
        chosen = (chance < self._share) & ~torch.isin(ids, self._special_ids)
        masked = torch.where(change < KEPT, ids, self._mask_id)
        another = (change >= KEPT) & (change < KEPT + CHANGED)
        masked = torch.where(another, (other * self._vocabulary).long(), masked)
        return {
            **batch,
            "input_ids": torch.where(chosen, masked, ids),
            "labels": torch.where(chosen, ids, UNLABELLED),
        }
