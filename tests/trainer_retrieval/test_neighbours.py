from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts_trainer.retrieval import neighbours
from xstilts_trainer.retrieval.neighbours import nearest


def unit_rows(count: int, seed: int, size: int = 5) -> torch.Tensor:
    rows = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def brute_force(queries: torch.Tensor, candidates: torch.Tensor, k: int) -> list[list[int]]:
    """The best k of each query by (score, lower index), score by score."""
    found = []
    for query in queries.double().numpy():
        scores = [round(float(np.dot(query, candidate)), 9) for candidate in candidates.double().numpy()]
        found.append(sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k])
    return found


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 15), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**16))
def test_equals_brute_force_whatever_the_block(query_count, candidate_count, k, block, seed):
    queries, candidates = unit_rows(query_count, seed), unit_rows(candidate_count, seed + 1)
    candidates = candidates[
        np.random.default_rng(seed).integers(0, candidate_count, candidate_count)
    ]  # with repeats
    expected = brute_force(queries, candidates, k)
    usual = neighbours.BLOCK
    neighbours.BLOCK = block
    try:
        found = nearest(queries, candidates, k)
    finally:
        neighbours.BLOCK = usual
    assert found.indices.tolist() == expected
    assert torch.equal(found.scores, nearest(queries, candidates, k).scores)


def test_many_equal_candidates_fall_to_the_first():
    candidates = unit_rows(1, 3).repeat(5000, 1)  # over several blocks
    found = nearest(unit_rows(7, 4), candidates, 4)
    assert found.indices.tolist() == [[0, 1, 2, 3]] * 7


@settings(max_examples=40)
@given(st.permutations(range(9)), st.permutations(range(6)), st.integers(0, 2**16))
def test_order_of_queries_and_candidates_changes_nothing(candidate_order, query_order, seed):
    queries, candidates = unit_rows(6, seed), unit_rows(9, seed + 1)
    found = nearest(queries, candidates, 3)
    moved = nearest(queries[list(query_order)], candidates[list(candidate_order)], 3)
    assert torch.equal(moved.scores, found.scores[list(query_order)])
    original = [[candidate_order[row] for row in rows] for rows in moved.indices.tolist()]
    assert original == found.indices[list(query_order)].tolist()
