"""Pieces, templates and truncation are the tokenizer's own; every word of a sentence has one place in one window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import DataError
from xstilts.stage import Hyperparameters
from xstilts_trainer.data.encode import encode
from xstilts_trainer.data.examples import (
    UNLABELLED,
    ChoiceExample,
    PairExample,
    RetrievalExample,
    SpanExample,
    TagExample,
)
from xstilts_trainer.data.features import encode_choices, encode_pairs, encode_texts, longest_first
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.data.tagging import encode_tags, word_tags

TEXTS = [
    "Das Haus ist groß.",
    "这是一个测试。",
    "",
    "the quick brown fox jumps over the lazy dog " * 4,
    "ab cd",
]
PAIRS = [PairExample(first, second, 0) for first in TEXTS for second in TEXTS]


def test_the_pair_template_is_xlmrs(xlmr, xlmr_pieces):
    (feature,) = encode_pairs(xlmr_pieces, [PairExample("Good", "Bad", 2)], 128).features
    (read,) = feature.inputs
    assert xlmr.convert_ids_to_tokens(read.ids) == ["<s>", "▁Good", "</s>", "</s>", "▁Bad", "</s>"]
    assert read.type_ids is None
    assert feature.labels == {"labels": 2}


@pytest.mark.parametrize("name", ["xlmr", "bert", "mt5"])
@pytest.mark.parametrize("max_length", [5, 8, 9, 20, 512])
def test_pairs_are_what_the_tokenizer_makes_of_them(name, max_length, request):
    tokenizer = request.getfixturevalue(name)
    encoded = encode_pairs(PieceTokenizer(tokenizer), PAIRS, max_length)
    firsts, seconds = zip(*((pair.text, pair.text_pair) for pair in PAIRS), strict=True)
    expected = tokenizer(list(firsts), list(seconds), truncation="longest_first", max_length=max_length)
    inputs = [feature.inputs[0] for feature in encoded.features]
    assert [read.ids.tolist() for read in inputs] == expected["input_ids"]
    if "token_type_ids" in expected:
        assert [read.type_ids.tolist() for read in inputs] == expected["token_type_ids"]
    assert encoded.cut == sum(bool(encoding.overflowing) for encoding in expected.encodings)


@pytest.mark.parametrize("name", ["xlmr", "bert", "mt5"])
def test_texts_are_what_the_tokenizer_makes_of_them(name, request):
    tokenizer = request.getfixturevalue(name)
    encoded = encode_texts(PieceTokenizer(tokenizer), TEXTS, 12)
    expected = tokenizer(TEXTS, truncation=True, max_length=12)
    assert [feature.inputs[0].ids.tolist() for feature in encoded.features] == expected["input_ids"]
    assert encoded.cut == sum(bool(encoding.overflowing) for encoding in expected.encodings)
    assert encoded.lengths.tolist() == [len(ids) for ids in expected["input_ids"]]


def test_what_others_ask_of_the_tokenizer_changes_nothing(bert, bert_pieces):
    before = encode_texts(bert_pieces, ["abcdefg"], 64).lengths
    bert("abcdefg", truncation=True, max_length=4, padding="max_length")
    assert encode_texts(bert_pieces, ["abcdefg"], 64).lengths == before == 9


def test_choices_are_a_sequence_each(bert_pieces, bert):
    example = ChoiceExample((("ab", "c"), ("ab", "d" * 9)), 1)
    encoded = encode_choices(bert_pieces, [example], 8)
    inputs = encoded.features[0].inputs
    assert [bert.decode(read.ids) for read in inputs] == [
        "[CLS] a b [SEP] c [SEP]",
        "[CLS] a b [SEP] d d d [SEP]",
    ]
    assert (encoded.cut, encoded.features[0].labels) == (1, {"labels": 1})


def test_single_texts_and_pairs(bert_pieces):
    encoded = encode_pairs(bert_pieces, [PairExample("a", None, 0), PairExample("a", "b", 1)], 16)
    assert encoded.lengths.tolist() == [3, 5]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60))
def test_longest_first_fills_the_room_and_spares_the_shorter(first, second, room):
    kept = longest_first(first, second, room)
    assert sum(kept) == min(first + second, room)
    assert kept[0] <= first
    assert kept[1] <= second
    if sum(kept) < first + second:  # what is cut is the longer one, until the two are about equal
        shorter = min(first, second)
        assert min(kept) == shorter or abs(kept[0] - kept[1]) <= 1


def test_a_slow_tokenizer_is_refused():
    class Slow:
        backend_tokenizer = None

    with pytest.raises(DataError, match="tokenizer must be a fast one, was Slow"):
        PieceTokenizer(Slow())


def test_a_tag_stands_on_each_words_first_piece(xlmr, xlmr_pieces):
    example = TagExample(("Donaudampfschiff", "fährt", "你好"), (3, 1, 2))
    (feature,) = encode_tags(xlmr_pieces, [example], 128).features
    ids = feature.inputs[0].ids
    expected = xlmr([list(example.tokens)], is_split_into_words=True)
    assert ids.tolist() == expected["input_ids"][0]
    words = expected.word_ids(0)
    firsts = [place for place, word in enumerate(words) if word is not None and word not in words[:place]]
    assert feature.heads.tolist() == firsts
    labels = feature.labels["labels"]
    assert labels[firsts].tolist() == [3, 1, 2]
    assert set(np.delete(labels, firsts)) == {UNLABELLED}


def test_a_word_that_leaves_no_piece_is_the_unknown_piece(xlmr, xlmr_pieces):
    example = TagExample(("ja", "\u200b", "", "no"), (0, 1, 2, 3))
    (feature,) = encode_tags(xlmr_pieces, [example], 128).features
    assert xlmr.convert_ids_to_tokens(feature.inputs[0].ids) == [
        "<s>",
        "▁ja",
        "<unk>",
        "<unk>",
        "▁no",
        "</s>",
    ]
    assert feature.heads.tolist() == [1, 2, 3, 4]


words = st.lists(st.text("abc", min_size=0, max_size=9), min_size=1, max_size=30)


@given(st.lists(words, min_size=1, max_size=5), st.integers(3, 12))
def test_windows_give_every_word_one_prediction(bert_pieces, sentences, max_length):
    examples = [TagExample(tuple(tokens), tuple(range(len(tokens)))) for tokens in sentences]
    encoded = encode_tags(bert_pieces, examples, max_length)
    assert encoded.lengths.max() <= max_length
    # a model that knows the labels gives each word its own tag back, in order
    predicted = [np.asarray(feature.labels["labels"], dtype=np.int64) for feature in encoded.features]
    assert word_tags(encoded.features, predicted, len(examples)) == [
        list(example.tags) for example in examples
    ]
    longest = max_length - 2
    assert encoded.cut == sum(any(len(token) > longest for token in tokens) for tokens in sentences)


def test_a_long_sentence_is_split_between_words(bert_pieces, bert):
    encoded = encode_tags(bert_pieces, [TagExample(("ab", "cd", "efghijk"), (0, 1, 2))], 6)
    assert [bert.decode(feature.inputs[0].ids) for feature in encoded.features] == [
        "[CLS] a b c d [SEP]",
        "[CLS] e f g h [SEP]",
    ]
    assert encoded.cut == 1


HYPERPARAMETERS = Hyperparameters(
    learning_rate="1e-5", epochs=1, batch_size=8, max_length=24, warmup_ratio="0", weight_decay="0"
)


@pytest.mark.parametrize(
    ("example", "labels"),
    [
        (PairExample("a", "b", 1), {"labels"}),
        (ChoiceExample((("a", "b"), ("a", "c")), 1), {"labels"}),
        (TagExample(("a",), (0,)), {"labels"}),
        (SpanExample("1", "a", "b c", ("c",), (2,)), {"start_positions", "end_positions"}),
    ],
)
def test_a_task_types_features(bert_pieces, example, labels):
    encoded = encode(bert_pieces, [example], HYPERPARAMETERS)
    assert [set(feature.labels) for feature in encoded.features] == [labels]


def test_examples_of_one_task_have_one_type(bert_pieces):
    with pytest.raises(TypeError, match="RetrievalExample makes no features"):
        encode(bert_pieces, [RetrievalExample("a", "b")], HYPERPARAMETERS)
    with pytest.raises(TypeError, match="all be PairExample"):
        encode(bert_pieces, [PairExample("a", "b", 1), TagExample(("a",), (0,))], HYPERPARAMETERS)
