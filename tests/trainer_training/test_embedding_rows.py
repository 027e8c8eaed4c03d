"""Cutting the embedding table: not one bit differs from dense AdamW over all rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xstilts.stage import Hyperparameters
from xstilts_trainer.training.embedding_rows import EmbeddingRows
from xstilts_trainer.training.optimiser import (
    clip_gradients,
    learning_rate,
    make_optimiser,
    set_learning_rate,
)

RECIPE = Hyperparameters(
    learning_rate="1e-3", epochs=1, batch_size=4, max_length=8, warmup_ratio="0.1", weight_decay="0.01"
)
VOCABULARY, WIDTH, STEPS = 1501, 32, 40


class Bag(nn.Module):
    """A table, tied to a second one as mT5's is, and a layer on the mean of the tokens' vectors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(VOCABULARY, WIDTH, padding_idx=1)
        self.alias = nn.Embedding(VOCABULARY, WIDTH)
        self.alias.weight = self.table.weight
        self.output = nn.Linear(WIDTH, 3)
        with torch.no_grad():
            self.table.weight[7, :5] = -0.0  # a sign that a careless sum would lose

    def forward(self, batch):
        return (
            self.output(self.table(batch["input_ids"]).mean(1)).square().sum() * 10
        )  # large enough to be clipped


def train(model, token_ids, rows, threads):
    torch.set_num_threads(threads)
    optimiser = make_optimiser(model, RECIPE)
    for step in range(STEPS):
        set_learning_rate(optimiser, learning_rate(RECIPE, step, STEPS))
        batch = {"input_ids": token_ids[step % len(token_ids)]}
        optimiser.zero_grad()
        model(rows.renumber(batch) if rows else batch).backward()
        clip_gradients([p for group in optimiser.param_groups for p in group["params"]], 1.0)
        optimiser.step()


def bits(tensor):
    return tensor.detach().view(torch.int32)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_table_ends_with_the_bits_of_dense_training(threads):
    token_ids = torch.randint(2, 200, (5, 4, 8), generator=torch.Generator().manual_seed(1)) * 7 % VOCABULARY
    dense, cut = Bag(), Bag()
    before = torch.get_num_threads()
    try:
        train(dense, token_ids, None, threads)
        assert EmbeddingRows.is_exact(cut.table)
        rows = EmbeddingRows(cut, cut.table, token_ids.unique().numpy())
        assert cut.table.weight.shape[0] == len(rows) < VOCABULARY / 4
        train(cut, token_ids, rows, threads)
    finally:
        torch.set_num_threads(before)
    decay = float(RECIPE.weight_decay)
    rows.restore([1 - learning_rate(RECIPE, step, STEPS) * decay for step in range(STEPS)])
    assert torch.equal(bits(cut.table.weight), bits(dense.table.weight))
    assert torch.equal(bits(cut.output.weight), bits(dense.output.weight))
    assert cut.alias.weight is cut.table.weight
    assert cut.table.num_embeddings == VOCABULARY


def test_rows_that_nothing_touched_do_decay():
    model = Bag()
    before = model.table.weight.detach().clone()
    rows = EmbeddingRows(model, model.table, np.array([5, 9]))
    rows.restore([0.5, 0.5])
    assert torch.equal(model.table.weight[100], before[100] / 4)
    assert torch.equal(model.table.weight[5], before[5])


def test_rows_of_broken_registers_are_not_cut():
    assert not EmbeddingRows.is_exact(nn.Embedding(10, 24))
