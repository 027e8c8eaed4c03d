"""All languages of a task share their texts' vectors, and are told apart by nothing else."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from tests.trainer_models.conftest import FAMILIES, tiny_model, tiny_tokenizer

from xstilts.stage import Pooling, RetrievalUse
from xstilts_trainer.data.examples import Corpora, RetrievalExample, Sentence
from xstilts_trainer.evaluation.retrieve import count_texts, predict_pairs
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.retrieval.embeddings import embed, embed_once

USE = RetrievalUse(layer=-1, pooling=Pooling.MEAN, prefix="w39 ")


def sentence(draw: random.Random) -> str:
    return " ".join(f"w{draw.randrange(30)}" for _ in range(draw.randint(1, 9)))


DRAW = random.Random(3)  # noqa: S311 - made data, no secret
ENGLISH = [sentence(DRAW) for _ in range(40)]
PAIRS = {
    language: [RetrievalExample(sentence(DRAW), english) for english in DRAW.choices(ENGLISH, k=70)]
    for language in ("de", "fr", "sw")
}
TEXTS = [text for pairs in PAIRS.values() for pair in pairs for text in (pair.source, pair.target)]
CORPORA = {
    "zh": Corpora(
        sources=tuple(Sentence(f"s{row}", text) for row, text in enumerate(ENGLISH)),
        targets=tuple(Sentence(f"t{row}", f" {text} ") for row, text in enumerate([*ENGLISH, ENGLISH[0]])),
        gold=frozenset({("s1", "t1"), ("s2", "t2"), ("s3", "t3"), ("s4", "t4")}),
    )
}


@pytest.fixture
def backbone() -> Backbone:
    return Backbone(tiny_model("xlm-roberta", "Model"), tiny_tokenizer(), FAMILIES["xlm-roberta"])


@pytest.fixture
def forwarded(backbone: Backbone) -> list[int]:
    """How many rows each forward pass of the encoder had."""
    rows: list[int] = []
    backbone.encoder.register_forward_pre_hook(
        lambda _encoder, _positional, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    return rows


def test_a_text_of_several_languages_is_embedded_once(backbone, forwarded):
    told: list[int] = []
    assert [language for language, _ in predict_pairs(backbone, PAIRS, USE, told.append)] == list(PAIRS)
    assert len(set(TEXTS)) < len(TEXTS) - 100
    assert sum(forwarded) == len(set(TEXTS)) == count_texts(PAIRS)
    assert told == forwarded


def test_a_language_is_answered_as_if_it_stood_alone(backbone):
    together = dict(predict_pairs(backbone, PAIRS, USE, lambda _count: None))
    for language, pairs in PAIRS.items():
        ((_, alone),) = predict_pairs(backbone, {language: pairs}, USE, lambda _count: None)
        assert replace(alone, clusters=None) == replace(together[language], clusters=None)


def test_sentences_with_one_english_side_are_one_cluster_in_all_languages(backbone):
    found = dict(predict_pairs(backbone, PAIRS, USE, lambda _count: None))
    texts: dict[int, set[str]] = defaultdict(set)
    for language, predictions in found.items():
        assert predictions.shared
        rows = zip(predictions.gold, predictions.clusters, strict=True)
        for row, cluster in rows:
            texts[cluster].add(PAIRS[language][row].target)
    assert sorted(texts) == list(range(len(texts)))
    assert all(len(of_cluster) == 1 for of_cluster in texts.values())
    assert len(texts) == len({text for of_cluster in texts.values() for text in of_cluster})


def test_vectors_of_one_pass_are_those_of_each_language(backbone):
    known = embed_once(TEXTS, lambda texts: embed(backbone, texts, USE))
    for pairs in PAIRS.values():
        for side in ([pair.source for pair in pairs], [pair.target for pair in pairs]):
            torch.testing.assert_close(known(side), embed(backbone, side, USE), atol=1e-6, rtol=0)
    again = embed_once(reversed(TEXTS), lambda texts: embed(backbone, texts, USE))
    assert torch.equal(known(TEXTS), again(TEXTS))


def test_corpora_are_embedded_each_for_itself(backbone, forwarded):
    told: list[int] = []
    ((language, predictions),) = predict_pairs(backbone, CORPORA, USE, told.append)
    assert language == "zh"
    assert predictions.gold == CORPORA["zh"].gold
    assert sum(forwarded) == sum(told) == count_texts(CORPORA) == 2 * len(set(ENGLISH))
