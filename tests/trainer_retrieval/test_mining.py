from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xstilts.scoring.mining import mining_f1
from xstilts_trainer.data.examples import Corpora, Sentence
from xstilts_trainer.retrieval.mining import best_threshold, candidates, cross_fitted, extract, mine


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(count: int, seed: int) -> np.ndarray:
    # positive, so that cosines are, as those of real sentences nearly all are
    return unit(np.random.default_rng(seed).uniform(0.05, 1.0, size=(count, 6)))


def xtreme_candidates(x: np.ndarray, y: np.ndarray, k: int) -> list[tuple[int, int, float]]:
    """mine_bitext with retrieval "max" and margin "ratio", as the formulas say it and without any blocks."""
    cosine = np.round(x.astype(np.float64) @ y.astype(np.float64).T, 9)
    x_near = [sorted(range(len(y)), key=lambda j: (-cosine[i, j], j))[:k] for i in range(len(x))]
    y_near = [sorted(range(len(x)), key=lambda i: (-cosine[i, j], i))[:k] for j in range(len(y))]
    x_mean = [np.mean([cosine[i, j] for j in near]) for i, near in enumerate(x_near)]
    y_mean = [np.mean([cosine[i, j] for i in near]) for j, near in enumerate(y_near)]

    def margin(i: int, j: int) -> float:
        return cosine[i, j] / ((x_mean[i] + y_mean[j]) / 2)

    proposals = [(i, max(near, key=lambda j: margin(i, j))) for i, near in enumerate(x_near)]
    proposals += [(max(near, key=lambda i: margin(i, j)), j) for j, near in enumerate(y_near)]
    taken: list[tuple[int, int, float]] = []
    for i, j in sorted(proposals, key=lambda pair: -margin(*pair)):
        if all(i != pair[0] and j != pair[1] for pair in taken):
            taken.append((i, j, margin(i, j)))
    return taken


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**16))
def test_candidates_are_xtremes(source_count, target_count, k, seed):
    x, y = vectors(source_count, seed), vectors(target_count, seed + 1)
    found = candidates(torch.from_numpy(x), torch.from_numpy(y), k)
    expected = xtreme_candidates(x, y, k)
    assert [(i, j) for i, j, _ in found] == [(i, j) for i, j, _ in expected]
    assert [score for *_, score in found] == pytest.approx([score for *_, score in expected], rel=1e-9)


@settings(max_examples=40)
@given(st.permutations(range(8)), st.permutations(range(7)), st.integers(0, 2**16))
def test_the_order_of_the_corpora_changes_no_pair(source_order, target_order, seed):
    x, y = torch.from_numpy(vectors(8, seed)), torch.from_numpy(vectors(7, seed + 1))
    found = {(i, j): score for i, j, score in candidates(x, y, 4)}
    moved = {
        (source_order[i], target_order[j]): score
        for i, j, score in candidates(x[list(source_order)], y[list(target_order)], 4)
    }
    assert moved == pytest.approx(found)


def test_sentences_without_any_likeness_are_no_candidates():
    assert candidates(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 4) == []


def sentences(*texts: str) -> tuple[Sentence, ...]:
    return tuple(Sentence(id=f"{number}", text=text) for number, text in enumerate(texts))


def embed_by_name(texts: Sequence[str]) -> torch.Tensor:
    """A sentence `a…` and its translation `A…` get one vector; each distinct one once."""
    assert len(set(texts)) == len(texts)
    rows = [vectors(1, 100 + ord(text[0].lower()))[0] for text in texts]
    return torch.from_numpy(np.stack(rows))


def test_translations_find_each_other():
    corpora = Corpora(sentences("a", "b", "c", "d"), sentences("D", "x", "A", "C"), frozenset())
    found = mine(corpora, embed_by_name)
    assert set(found) >= {("0", "2"), ("2", "3"), ("3", "0")}
    assert {source for source, _ in found} <= set("0123")


def test_repeated_sentences_are_dropped_with_all_their_ids():
    corpora = Corpora(sentences("a", "b", "b ", "c"), sentences("A", "B", "C", "C"), frozenset())
    found = mine(corpora, embed_by_name)
    assert ("0", "0") in found
    assert not {"1", "2"} & {source for source, _ in found}
    assert not {"2", "3"} & {target for _, target in found}
    assert ("3", "1") not in found  # the repeated ones took part in the search: B went to b


PAIRS = st.dictionaries(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuvwxyz")),
    st.one_of(st.sampled_from([0.5, 1.0, 1.5]), st.floats(0.1, 2.0)),
    max_size=14,
)
GOLD = st.frozensets(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuvwxyz")), min_size=1, max_size=8
)


@settings(max_examples=300)
@given(PAIRS, GOLD)
def test_no_threshold_has_a_higher_f1(scores, gold):
    def f1(threshold: float) -> float:
        return mining_f1(gold, extract(scores, threshold))["f1"]

    best = f1(best_threshold(scores, gold))
    every = sorted(set(scores.values()))
    between = [(low + high) / 2 for low, high in itertools.pairwise(every)]
    assert best >= max(map(f1, [0.0, *every, *between, math.inf])) - 1e-9


def test_the_threshold_stands_between_scores_and_at_the_last():
    scores = {("a", "s"): 1.4, ("b", "t"): 1.2, ("c", "u"): 1.0}
    assert best_threshold(scores, {("a", "s"), ("b", "t")}) == pytest.approx(1.1)
    assert best_threshold(scores, {("c", "u"), ("b", "t"), ("a", "s")}) == 1.0
    assert best_threshold(scores, {("x", "y")}) == math.inf
    assert extract(scores, math.inf) == frozenset()


@settings(max_examples=150)
@given(PAIRS, GOLD, st.randoms(use_true_random=False))
def test_cross_fitting_uses_the_other_halfs_threshold_and_no_order(scores, gold, random):
    found = cross_fitted(scores, gold)
    ids = sorted({source for source, _ in [*scores, *gold]})
    for half, threshold in ((ids[::2], found.thresholds[1]), (ids[1::2], found.thresholds[0])):
        extracted = {pair for pair in found.pairs if pair[0] in half}
        assert extracted == {pair for pair, score in scores.items() if pair[0] in half and score >= threshold}
    shuffled = list(scores.items())
    random.shuffle(shuffled)
    assert cross_fitted(dict(shuffled), gold) == found


@settings(max_examples=100)
@given(PAIRS, GOLD, st.data())
def test_a_halfs_own_gold_does_not_set_its_threshold(scores, gold, data):
    """What is extracted from a half stays, when that half's gold changes."""
    ids = sorted({source for source, _ in [*scores, *gold]})
    first = set(ids[::2])
    kept = {pair for pair in gold if pair[0] not in first or data.draw(st.booleans())}
    assume(sorted({source for source, _ in [*scores, *kept]}) == ids)
    before, after = cross_fitted(scores, gold), cross_fitted(scores, kept)
    assert {pair for pair in before.pairs if pair[0] in first} == {
        pair for pair in after.pairs if pair[0] in first
    }
