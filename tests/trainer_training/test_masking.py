"""BERT's masking rule, as a pure function of its key."""

from __future__ import annotations

import pytest
import torch

from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.training.masking import Masking

MASK, VOCABULARY, SPECIAL = 4, 1000, (0, 1, 2, 3, 4)


def batch():
    ids = torch.randint(5, VOCABULARY, (64, 128), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, 100:] = 0, 1
    return {"input_ids": ids, "attention_mask": (ids != 1).long()}


def test_the_shares_are_those_of_bert():
    before = batch()
    after = Masking(0.15, MASK, SPECIAL, VOCABULARY)(before, 1, "masked", 0)
    chosen = after["labels"] != UNLABELLED
    assert chosen.sum().item() / (64 * 99) == pytest.approx(0.15, abs=0.015)
    assert not chosen[:, 0].any()
    assert not chosen[:, 100:].any()
    assert torch.equal(after["labels"][chosen], before["input_ids"][chosen])
    assert torch.equal(after["input_ids"][~chosen], before["input_ids"][~chosen])
    inside = after["input_ids"][chosen]
    assert (inside == MASK).float().mean().item() == pytest.approx(0.8, abs=0.05)
    assert (inside == before["input_ids"][chosen]).float().mean().item() == pytest.approx(0.1, abs=0.04)
    assert after["attention_mask"] is before["attention_mask"]


def test_the_key_decides():
    masking = Masking(0.15, MASK, SPECIAL, VOCABULARY)
    first, again, other = (masking(batch(), 1, "masked", number)["input_ids"] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
