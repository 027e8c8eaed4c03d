"""Where tokens and labels stand, as it is found on the CPU before a batch goes to a GPU."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts_trainer.data.examples import UNLABELLED
from xstilts_trainer.data.places import LABELLED, LENGTHS, TOKENS, labelled, lengths, tokens

SHAPES = st.sampled_from([(3, 5), (2, 3, 4), (1, 1)])


def drawn(shape, seed) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask, labels = torch.randint(0, 2, (2, *shape), generator=generator)
    return {"attention_mask": mask, "labels": torch.where(labels == 1, 7, UNLABELLED)}


@given(SHAPES, st.integers(0, 99))
def test_what_stands_there_is_all_that_a_mask_chooses(shape, seed):
    batch = drawn(shape, seed)
    values = torch.arange(batch["labels"].numel()).view(shape)
    assert torch.equal(values.flatten()[tokens(batch)], values[batch["attention_mask"] == 1])
    assert torch.equal(values.flatten()[labelled(batch)], values[batch["labels"] != UNLABELLED])
    assert lengths(batch).tolist() == batch["attention_mask"].sum(dim=-1).flatten().tolist()


@given(SHAPES, st.integers(0, 99))
def test_what_is_known_is_not_looked_for(shape, seed):
    said = {TOKENS: torch.tensor([4]), LENGTHS: torch.tensor([5]), LABELLED: torch.tensor([6])}
    batch = drawn(shape, seed) | said
    assert (tokens(batch), lengths(batch), labelled(batch)) == tuple(said.values())
