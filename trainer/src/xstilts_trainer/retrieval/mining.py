"""BUCC: mining two corpora for parallel sentences by the margin of their cosine (Artetxe and Schwenk 2019).

As mine_bitext and bucc_eval of google-research/xtreme (third_party/utils_retrieve.py) do it with retrieval "max" and
margin "ratio", but for two faults there: the threshold is set between scores that differ, and may stand below the last.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xstilts_trainer.data.examples import Corpora, Sentence
from xstilts_trainer.retrieval.embeddings import Embed
from xstilts_trainer.retrieval.neighbours import Neighbours, nearest_both

Pair = tuple[str, str]
NEIGHBOURHOOD = 4


@dataclass(frozen=True)
class CrossFitted:
    """Pairs that were extracted from each half with the threshold of the other: a score on them is one of dev."""

    pairs: frozenset[Pair]
    thresholds: tuple[float, float]


def mine(corpora: Corpora, embed: Embed, neighbourhood: int = NEIGHBOURHOOD) -> dict[Pair, float]:
    """The score of every candidate pair of (source id, target id), each sentence in at most one pair.

    A text that a corpus holds more than once takes part in the search as one sentence, and its pairs are dropped after
    it: which of its ids would be meant cannot be known.
    """
    sources, targets = distinct_texts(corpora.sources), distinct_texts(corpora.targets)
    found = candidates(embed(list(sources)), embed(list(targets)), neighbourhood)
    source_ids, target_ids = list(sources.values()), list(targets.values())
    return {
        (source_id, target_id): score
        for source, target, score in found
        if (source_id := source_ids[source]) is not None and (target_id := target_ids[target]) is not None
    }


def distinct_texts(sentences: Iterable[Sentence]) -> Mapping[str, str | None]:
    """Distinct texts in the order of their first row, with their id, or None where there are several."""
    ids: dict[str, str | None] = {}
    for sentence in sentences:
        text = sentence.text.strip()
        ids[text] = None if text in ids else sentence.id
    return ids


def candidates(sources: Tensor, targets: Tensor, neighbourhood: int) -> list[tuple[int, int, float]]:
    """Pairs (source row, target row, score), the highest score first, no row in two pairs of its side.

    Each sentence proposes the best of its nearest neighbours on the other side ("max" retrieval: both directions); the
    proposals are taken greedily from the highest score down. Proposals with a score of 0 or less are left out.

    Args:
        sources: [S, H], rows of length 1.
        targets: [T, H], rows of length 1.
        neighbourhood: k, of the nearest neighbours and of the margin.
    """
    forward, backward = nearest_both(sources, targets, neighbourhood)
    source_means, target_means = forward.scores.mean(dim=1), backward.scores.mean(dim=1)
    forward_scores, forward_best = _best_margins(forward, source_means, target_means)
    backward_scores, backward_best = _best_margins(backward, target_means, source_means)
    source_rows = torch.cat([torch.arange(len(sources), device=sources.device), backward_best])
    target_rows = torch.cat([forward_best, torch.arange(len(targets), device=targets.device)])
    scores = torch.cat([forward_scores, backward_scores])
    proposed = (scores > 0).nonzero().squeeze(1)
    order = proposed[scores[proposed].argsort(descending=True, stable=True)]
    ranked = (source_rows[order].tolist(), target_rows[order].tolist(), scores[order].tolist())
    return list(_one_to_one(zip(*ranked, strict=True)))


def _best_margins(found: Neighbours, own: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """For each query the highest ratio margin among its neighbours, and that neighbour's row.

    margin(x, y) = cos(x, y) / ((mean of x's k neighbours + mean of y's k neighbours) / 2)
    """
    margins = found.scores / ((own.unsqueeze(1) + others[found.indices]) / 2)
    best = margins.argmax(dim=1, keepdim=True)
    return margins.gather(1, best).squeeze(1), found.indices.gather(1, best).squeeze(1)


def _one_to_one(proposals: Iterable[tuple[int, int, float]]) -> Iterable[tuple[int, int, float]]:
    sources: set[int] = set()
    targets: set[int] = set()
    for source, target, score in proposals:
        if source not in sources and target not in targets:
            sources.add(source)
            targets.add(target)
            yield source, target, score


def best_threshold(scores: Mapping[Pair, float], gold: Collection[Pair]) -> float:
    """The threshold with the highest F1 of `extract` against gold; of equals the highest, infinity if all are wrong.

    It stands half-way to the next lower score, or at the last score where there is none lower.
    """
    ranked = sorted(((score, pair in gold) for pair, score in scores.items()), reverse=True)
    best, threshold, correct = 0.0, math.inf, 0
    for rank, (score, is_gold) in enumerate(ranked, start=1):
        correct += is_gold
        lower = ranked[rank][0] if rank < len(ranked) else -math.inf
        if lower == score:
            continue  # no threshold parts equal scores
        f1 = 2 * correct / (rank + len(gold))
        if f1 > best:
            best, threshold = f1, _between(score, lower)
    return threshold


def _between(score: float, lower: float) -> float:
    """Half-way, but never at `lower` (of neighbouring floats the middle is one of them), nor below the last score."""
    middle = (score + lower) / 2
    return middle if lower < middle else score


def extract(scores: Mapping[Pair, float], threshold: float) -> frozenset[Pair]:
    """The pairs whose score is at least the threshold."""
    return frozenset(pair for pair, score in scores.items() if score >= threshold)


def cross_fitted(scores: Mapping[Pair, float], gold: Collection[Pair]) -> CrossFitted:
    """Extract where only dev has gold: halves by source sentence, each with the threshold that is best on the other.

    The halves are every other source id in sorted order, of all that stand in a candidate or in gold.
    """
    ids = sorted({source for source, _ in scores} | {source for source, _ in gold})
    halves = [set(ids[start::2]) for start in (0, 1)]
    inside = [{pair: score for pair, score in scores.items() if pair[0] in half} for half in halves]
    thresholds = [
        best_threshold(part, {pair for pair in gold if pair[0] in half})
        for part, half in zip(inside, halves, strict=True)
    ]
    return CrossFitted(
        pairs=extract(inside[0], thresholds[1]) | extract(inside[1], thresholds[0]),
        thresholds=(thresholds[0], thresholds[1]),
    )
