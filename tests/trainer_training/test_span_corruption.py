"""Span corruption as T5's: what is cut out, what stands for it, and that nothing is lost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xstilts_trainer.data.batches import collate
from xstilts_trainer.data.features import encode_texts
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.training.span_corruption import SpanCorruption, noise_mask

FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
TEXT = st.lists(st.integers(0, 59).map("w{}".format), min_size=1, max_size=120).map(" ".join)


@pytest.fixture(scope="module")
def pieces(mt5_tokenizer) -> TextPieces:
    return TextPieces(mt5_tokenizer)


def restored(inputs, answer, sentinels, end):
    """The text again: each sentinel of the input replaced by what the answer has behind it."""
    spans, current = {}, None
    for piece in answer:
        if piece in sentinels:
            current = spans.setdefault(piece, [])
        elif piece != end:
            current.append(piece)
    return [p for piece in inputs if piece != end for p in spans.get(piece, [piece])]


@FIXTURES
@given(st.lists(TEXT, min_size=1, max_size=4), st.integers(0, 99))
def test_inputs_and_answers_together_are_the_text(pieces, texts, number):
    batch = collate(encode_texts(pieces, texts, 121).features, pieces)
    corrupted = SpanCorruption(0.15, pieces)(batch, 7, "masked", number)
    for row, text in enumerate(texts):
        inputs = corrupted["input_ids"][row][corrupted["attention_mask"][row] == 1].tolist()
        answer = [piece for piece in corrupted["labels"][row].tolist() if piece != -100]
        assert inputs[-1] == answer[-1] == pieces.end_id
        assert restored(inputs, answer, pieces.sentinels, pieces.end_id) == next(pieces.ids([text])).tolist()
        used = [piece for piece in answer if piece in pieces.sentinels]
        assert used == list(pieces.sentinels[: len(used)])


@given(st.integers(2, 600), st.integers(0, 50))
def test_density_and_spans_are_t5s(length, seed):
    mask = noise_mask(length, 0.15, seed)
    assert len(mask) == length
    assert mask.sum() == min(max(round(length * 0.15), 1), length - 1)
    begins = int((mask[1:] & ~mask[:-1]).sum())
    assert begins == max(round(mask.sum() / 3), 1)
    assert not mask[0]
    assert mask[-1]


def test_it_is_a_function_of_the_key(pieces):
    batch = collate(encode_texts(pieces, [" ".join(f"w{n}" for n in range(60))], 64).features, pieces)
    corruption = SpanCorruption(0.15, pieces)
    first, again, other = (corruption(batch, 1, "masked", number) for number in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["input_ids"], other["input_ids"])


@pytest.mark.parametrize(("text", "answer"), [("w1", 2), ("", 1)])
def test_too_short_a_text_is_left_whole(pieces, text, answer):
    batch = collate(encode_texts(pieces, [text], 8).features, pieces)
    corrupted = SpanCorruption(0.15, pieces)(batch, 1, "masked", 0)
    assert torch.equal(corrupted["input_ids"], batch["input_ids"])
    assert corrupted["labels"].shape == (1, answer)
