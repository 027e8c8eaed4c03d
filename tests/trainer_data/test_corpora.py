"""The two corpora of BUCC and their gold pairs."""

from __future__ import annotations

import pytest

from xstilts.errors import DataError
from xstilts_trainer.data.examples import Corpora, Sentence
from xstilts_trainer.data.load import load_corpora


@pytest.fixture
def corpora(write):
    write("corpus_source.zh.jsonl", [{"id": "zh-1", "sentence": "一"}, {"id": "zh-2", "sentence": "二"}])
    write("corpus_target.zh.jsonl", [{"id": "en-1", "sentence": "one"}])
    return write("validation.zh.jsonl", [{"source_id": "zh-1", "target_id": "en-1"}])


def test_corpora_and_their_gold_pairs(corpora):
    assert load_corpora(corpora, "validation", "zh") == Corpora(
        (Sentence("zh-1", "一"), Sentence("zh-2", "二")),
        (Sentence("en-1", "one"),),
        frozenset({("zh-1", "en-1")}),
    )


def test_a_gold_pair_names_sentences_of_the_corpora(corpora, write):
    write("validation.zh.jsonl", [{"source_id": "zh-3", "target_id": "en-1"}])
    with pytest.raises(DataError) as caught:
        load_corpora(corpora, "validation", "zh")
    assert str(caught.value) == (
        'validation.zh.jsonl: row 1, column source_id: must be the id of a sentence of its corpus, was "zh-3"'
    )


def test_an_id_stands_once_in_a_corpus(corpora, write):
    write("corpus_target.zh.jsonl", [{"id": "en-1", "sentence": "one"}, {"id": "en-1", "sentence": "two"}])
    with pytest.raises(
        DataError, match=r'corpus_target.zh.jsonl: row 2, column id: must stand once, "en-1" is'
    ):
        load_corpora(corpora, "validation", "zh")
