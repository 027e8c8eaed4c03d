"""Batches: padding, the training order as a pure function, evaluation order restored, and mixtures of tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts.stage import Mixing
from xstilts_trainer.data.batches import (
    collate,
    evaluation_batches,
    in_order,
    padding_share,
    training_batches,
)
from xstilts_trainer.data.examples import ChoiceExample, PairExample, SpanExample, TagExample
from xstilts_trainer.data.features import encode_choices, encode_pairs, encode_texts
from xstilts_trainer.data.mixing import Mixture, task_probabilities
from xstilts_trainer.data.order import draws, permutation
from xstilts_trainer.data.span import encode_spans
from xstilts_trainer.data.tagging import encode_tags

some_lengths = st.lists(st.integers(1, 60), min_size=1, max_size=200).map(np.array)


def test_pairs_are_padded_to_the_longest(bert_pieces):
    encoded = encode_pairs(bert_pieces, [PairExample("a", "b", 0), PairExample("abc", "d", 1)], 16)
    batch = collate(encoded.features, bert_pieces)
    a, b, c, d = range(4, 8)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "input_ids": [[2, a, 3, b, 3, 0, 0], [2, a, b, c, 3, d, 3]],
        "attention_mask": [[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]],
        "token_type_ids": [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]],
        "labels": [0, 1],
    }
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_a_batch_equals_the_tokenizers_own(xlmr, xlmr_pieces):
    pairs = [PairExample("Das Haus", "ist groß.", 0), PairExample("你好", "a much longer sentence", 1)]
    batch = collate(encode_pairs(xlmr_pieces, pairs, 64).features, xlmr_pieces)
    expected = xlmr(
        [pair.text for pair in pairs],
        [pair.text_pair for pair in pairs],
        padding=True,
        return_tensors="pt",
    )
    assert set(batch) == {*expected, "labels"}
    assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_shapes_of_the_other_task_types(bert_pieces, mt5_pieces):
    choices = [ChoiceExample((("a", "b"), ("a", "bcd"), ("a", "")), 2)] * 2
    batch = collate(encode_choices(bert_pieces, choices, 16).features, bert_pieces)
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "input_ids": (2, 3, 7),
        "attention_mask": (2, 3, 7),
        "token_type_ids": (2, 3, 7),
        "labels": (2,),
    }
    tags = [TagExample(("ab", "c"), (5, 6)), TagExample(("a",), (7,))]
    batch = collate(encode_tags(mt5_pieces, tags, 16).features, mt5_pieces)
    assert batch["labels"].tolist() == [[5, -100, 6, -100], [7, -100, -100, -100]]
    assert "token_type_ids" not in batch
    spans = [SpanExample("1", "a", "b c", ("c",), (2,))]
    encoded = encode_spans(bert_pieces, spans, max_length=16, doc_stride=4, max_query_length=8)
    batch = collate(encoded.features, bert_pieces)
    assert (batch["start_positions"].tolist(), batch["end_positions"].tolist()) == ([4], [4])
    batch = collate(encode_texts(bert_pieces, ["a"], 16).features, bert_pieces)
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids"}


@given(some_lengths, st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_has_every_feature_once(lengths, batch_size, epoch):
    batches = training_batches(lengths, batch_size, 1, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    again = training_batches(lengths, batch_size, 1, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_seed_and_epoch_decide_the_order():
    lengths = np.arange(1, 500)
    orders = {
        tuple(np.concatenate(training_batches(lengths, 8, seed, epoch)))
        for seed, epoch in itertools.product(range(3), range(3))
    }
    assert len(orders) == 9


def test_the_order_is_the_same_on_every_machine_and_release():
    assert permutation(8, 1, "mnli", 0).tolist() == [5, 6, 7, 3, 2, 4, 0, 1]
    assert draws(3, 7).tolist() == draws(5, 7).tolist()[:3]


def test_bucketing_spares_padding():
    lengths = 10 + permutation(4000, "lengths") % 100
    bucketed = padding_share([lengths[batch] for batch in training_batches(lengths, 16, 1)])
    shuffled = padding_share([lengths[batch] for batch in np.split(permutation(4000, 1), 250)])
    assert bucketed < 0.05
    assert shuffled > 0.3


@given(some_lengths, st.integers(1, 40))
def test_evaluation_is_sorted_and_put_back(lengths, batch_size):
    batches = evaluation_batches(lengths, batch_size)
    flat = lengths[np.concatenate(batches)]
    assert (np.diff(flat) <= 0).all()
    outputs = [[f"of {index}" for index in batch] for batch in batches]
    assert in_order(batches, outputs) == [f"of {index}" for index in range(len(lengths))]


SIZES = {"mnli": 900, "qqp": 300, "wic": 60}
LENGTHS = {name: np.full(size, 10) for name, size in SIZES.items()}


@pytest.mark.parametrize(
    ("mixing", "expected"),
    [
        (Mixing(), {"mnli": 900 / 1260, "qqp": 300 / 1260, "wic": 60 / 1260}),
        (Mixing(examples_cap=300), {"mnli": 300 / 660, "qqp": 300 / 660, "wic": 60 / 660}),
        (Mixing(strategy="Uniform"), dict.fromkeys(SIZES, 1 / 3)),
        (
            Mixing(strategy="Temperature", temperature="2", examples_cap=400),
            {
                "mnli": 20 / (20 + 300**0.5 + 60**0.5),
                "qqp": 300**0.5 / (20 + 300**0.5 + 60**0.5),
                "wic": 60**0.5 / (20 + 300**0.5 + 60**0.5),
            },
        ),
    ],
)
def test_task_probabilities(mixing, expected):
    assert task_probabilities(SIZES, mixing) == pytest.approx(expected)
    mixture = Mixture(LENGTHS, batch_size=4, epochs=40, seed=3, mixing=mixing)
    drawn = [mixture.batch(step)[0] for step in range(mixture.steps)]
    for name, probability in expected.items():
        assert drawn.count(name) / len(drawn) == pytest.approx(probability, abs=0.03)


def test_one_task_is_gone_through_epoch_by_epoch():
    mixture = Mixture({"wic": LENGTHS["wic"]}, batch_size=16, epochs=3, seed=5)
    assert (mixture.steps_per_epoch, mixture.steps) == (4, 12)
    taken = [mixture.batch(step)[1] for step in range(12)]
    for epoch in range(3):
        seen = np.concatenate(taken[4 * epoch : 4 * epoch + 4])
        assert sorted(seen.tolist()) == list(range(60))
    assert not np.array_equal(np.concatenate(taken[:4]), np.concatenate(taken[4:8]))


def test_a_step_is_the_same_whatever_was_asked_before():
    def mixture(names=tuple(SIZES)):
        lengths = {name: LENGTHS[name] for name in names}
        return Mixture(lengths, batch_size=16, epochs=4, seed=2, mixing=Mixing(strategy="Uniform"))

    whole = mixture()
    straight = [whole.batch(step) for step in range(whole.steps)]
    resumed = mixture(reversed(SIZES))  # nor does the order of the tasks matter
    for step in reversed(range(whole.steps)):
        name, indices = resumed.batch(step)
        assert name == straight[step][0]
        assert np.array_equal(indices, straight[step][1])


def test_a_task_of_a_mixture_goes_through_all_its_features_before_any_comes_again():
    mixture = Mixture(LENGTHS, batch_size=16, epochs=6, seed=2, mixing=Mixing(examples_cap=100))
    turns = [indices for name, indices in map(mixture.batch, range(mixture.steps)) if name == "wic"]
    seen = np.concatenate(turns[:4])
    assert sorted(seen.tolist()) == list(range(60))
    assert mixture.steps_per_epoch == 7 + 7 + 4


def test_seeds_differ():
    drawn = {
        tuple(mixture.batch(step)[0] for step in range(mixture.steps))
        for mixture in (Mixture(LENGTHS, 16, 2, seed, Mixing()) for seed in range(5))
    }
    assert len(drawn) == 5
