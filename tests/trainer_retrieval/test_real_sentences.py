"""A real encoder on real sentences: two layers of multilingual-e5-small find most translations among a few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xstilts.scoring.mining import mining_f1
from xstilts.stage import Family, Pooling, RetrievalUse
from xstilts_trainer.data.examples import Corpora, RetrievalExample, Sentence
from xstilts_trainer.models.backbone import load_backbone
from xstilts_trainer.retrieval.embeddings import embed
from xstilts_trainer.retrieval.mining import cross_fitted, mine
from xstilts_trainer.retrieval.tatoeba import english_order, retrieve

pytestmark = [pytest.mark.slow, pytest.mark.data]
USE = RetrievalUse(layer=-1, pooling=Pooling.MEAN, prefix="query: ", max_length=64)


@pytest.fixture(scope="module")
def vectors(encoder_dir):
    backbone = load_backbone(encoder_dir, Family.E5)
    return lambda sentences: embed(backbone, sentences, USE)


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_tatoeba(data_dir, vectors):
    pairs = rows(data_dir / "tatoeba" / "test.de.jsonl")[:60]
    examples = [RetrievalExample(row["source_sentence"], row["target_sentence"]) for row in pairs]
    right = [p == g for p, g in zip(retrieve(examples, vectors), english_order(examples), strict=True)]
    assert sum(right) > 30  # of 60; chance: 1


def test_bucc(data_dir, vectors):
    folder = data_dir / "bucc2018"
    pairs = rows(folder / "validation.zh.jsonl")[:50]
    gold = frozenset((row["source_id"], row["target_id"]) for row in pairs)
    sides = []
    for side in ("source", "target"):
        true = [Sentence(row[f"{side}_id"], row[f"{side}_sentence"]) for row in pairs]
        known = {sentence.id for sentence in true}
        others = [
            Sentence(row["id"], row["sentence"]) for row in rows(folder / f"corpus_{side}.zh.jsonl")[:100]
        ]
        sides.append((*true, *(sentence for sentence in others if sentence.id not in known)))
    scores = mine(Corpora(*sides, gold), vectors)
    assert mining_f1(gold, cross_fitted(scores, gold).pairs)["f1"] > 50
