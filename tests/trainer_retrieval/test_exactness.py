"""Neighbours that fp32 has found are those of float64, with every tie: on ordinary vectors and on spiteful ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xstilts_trainer.models import linear as layers
from xstilts_trainer.models.linear import linear
from xstilts_trainer.retrieval import neighbours, shortlist
from xstilts_trainer.retrieval.exact import nearest_in_float64
from xstilts_trainer.retrieval.neighbours import Neighbours, nearest, nearest_both
from xstilts_trainer.retrieval.shortlist import Shortlist

STEP = 2.0**-15  # products of such numbers are exact in float64, and 9.3e-10 apart: half of them tie


@contextmanager
def sizes(block: int, group: int, crowd: int, pending: int) -> Iterator[None]:
    """Small blocks, groups and crowds, so that a few vectors see every way through."""
    with (
        patch.object(neighbours, "BLOCK", block),
        patch.multiple(
            shortlist, GROUP=group, GROUPS_A_NEIGHBOUR=1, CROWD=crowd, PENDING=pending, RESOLVED=block
        ),
    ):
        yield


SIZES = st.builds(
    sizes,
    st.sampled_from([3, 8, 17]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([0, 1, 3, 32]),
    st.integers(0, 30),
)


def naive(queries: torch.Tensor, candidates: torch.Tensor, k: int) -> Neighbours:
    """All products in float64, sorted."""
    scores = np.round(queries.double().numpy() @ candidates.double().numpy().T, 9)
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Neighbours(
        torch.from_numpy(np.take_along_axis(scores, indices, axis=1)), torch.from_numpy(indices)
    )


def equal(found: Neighbours, expected: Neighbours) -> bool:
    return torch.equal(found.indices, expected.indices) and torch.equal(found.scores, expected.scores)


@st.composite
def spiteful(draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sides of few distinct vectors: copies, and some that differ in one number by one step or some."""
    size = draw(st.integers(1, 5))
    numbers = st.integers(-(2**14), 2**14)
    some = draw(st.lists(st.lists(numbers, min_size=size, max_size=size), min_size=1, max_size=4))

    def side() -> torch.Tensor:
        rows = draw(
            st.lists(
                st.tuples(st.sampled_from(some), st.integers(0, size - 1), st.integers(-2, 2)),
                min_size=1,
                max_size=25,
            )
        )
        vectors = np.array([row for row, _, _ in rows], dtype=np.float64)
        for row, (_, place, steps) in enumerate(rows):
            vectors[row, place] += steps
        return torch.from_numpy((vectors * STEP).astype(np.float32))

    return side(), side()


@settings(max_examples=150)
@given(spiteful(), st.integers(1, 6), SIZES)
def test_copies_and_near_ties_fall_as_in_float64(sides, k, at_sizes):
    sources, targets = sides
    with at_sizes:
        forward, backward = nearest_both(sources, targets, k)
        alone = nearest(sources, targets, k)
    assert equal(forward, naive(sources, targets, k))
    assert equal(backward, naive(targets, sources, k))
    assert equal(alone, forward)


def unit(count: int, size: int, seed: int) -> torch.Tensor:
    rows = np.random.default_rng(seed).normal(size=(count, size))
    return torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


@settings(max_examples=50)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 300),
    st.integers(1, 7),
    st.sampled_from([1.0, 1e-2, 1e-4]),  # how far around one vector all others lie
    st.integers(0, 2**16),
    SIZES,
)
def test_random_vectors_have_the_neighbours_of_float64(
    source_count, target_count, size, k, spread, seed, at_sizes
):
    middle = unit(1, size, seed) * (1 - spread)
    sources = middle + spread * unit(source_count, size, seed + 1)
    targets = middle + spread * unit(target_count, size, seed + 2)
    with at_sizes:
        forward, backward = nearest_both(sources, targets, k)
    for found, queries, candidates in ((forward, sources, targets), (backward, targets, sources)):
        # a product in the middle of two decimals may be rounded either way, as its last bits are
        expected = naive(queries, candidates, k).scores
        products = queries.double() @ candidates.double().T
        assert torch.allclose(found.scores, expected, rtol=0, atol=1.1e-9)
        assert torch.allclose(products.gather(1, found.indices), expected, rtol=0, atol=1.6e-9)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 0.0])
def test_at_its_real_sizes(spread):
    middle = unit(1, 32, 0)
    sources, targets = (middle * (1 - spread) + spread * unit(count, 32, count) for count in (2300, 4201))
    forward, backward = nearest_both(sources, targets, 4)
    assert equal(forward, nearest_in_float64(sources, targets, 4))
    assert equal(backward, nearest_in_float64(targets, sources, 4))


@settings(max_examples=40)
@given(st.integers(1, 2048), st.sampled_from([1.0, 0.0]), st.integers(0, 2**16))
@example(2048, 0.0, 0)
def test_no_product_is_farther_off_than_the_bound(size, mean, seed):
    """Numbers of one sign are the worst: no errors of a sum cancel out less."""
    rows = np.random.default_rng(seed).normal(size=(64, size))
    rows = np.abs(rows) if mean else rows
    vectors = torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    off = (linear(vectors, vectors, None).double() - vectors.double() @ vectors.double().T).abs().max()
    assert off <= neighbours._error(size, 1.0, 1.0)


def test_a_tie_that_fp32_does_not_see_is_one():
    """Of short vectors fp32 tells products apart that are the same to 9 decimals: the first of them wins."""
    candidates = torch.tensor([[2.0**-12], [2.0**-12 + 2.0**-24]])
    assert nearest(torch.tensor([[2.0**-10]]), candidates, 1).indices.tolist() == [[0]]


def test_a_crowd_is_not_kept():
    crowded = Shortlist(queries=50, candidates=4000, k=4, slack=1e-5, device=torch.device("cpu"))
    for candidate in range(0, 4000, 1000):
        crowded.offer(torch.ones(50, 1000), 0, candidate)
    crowded._sift()
    assert len(crowded._kept[0]) == 0


@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("by_onednn", [True, False])
def test_products_of_less_than_fp32_are_not_taken_though_allowed_elsewhere(precision, by_onednn, monkeypatch):
    monkeypatch.setattr(layers, "_BY_ONEDNN", by_onednn)
    sources, targets = (unit(1, 64, 0) + 0.05 * unit(count, 64, count) for count in (300, 400))
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = nearest(sources, targets, 4)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(found.indices, naive(sources, targets, 4).indices)


@pytest.mark.parametrize("scale", [1e6, 1e25])
def test_vectors_that_are_far_from_unit_length_are_left_to_float64(scale):
    sources, targets = unit(30, 8, 1) * scale, unit(40, 8, 2)
    forward, backward = nearest_both(sources, targets, 3)
    assert equal(forward, nearest_in_float64(sources, targets, 3))
    assert equal(backward, nearest_in_float64(targets, sources, 3))


def test_no_query_has_no_neighbour():
    assert nearest(torch.empty(0, 4), unit(3, 4, 0), 2).indices.shape == (0, 2)


def test_vectors_of_float64_and_of_half_precision_are_taken_as_they_are():
    middle = unit(1, 16, 5).double()
    near = middle + 3e-9 * torch.arange(40).unsqueeze(1) * unit(1, 16, 6).double()  # one vector in fp32
    assert equal(nearest(middle, near, 4), nearest_in_float64(middle, near, 4))
    halves = unit(60, 16, 7).half()
    assert equal(nearest(halves, halves, 4), nearest_in_float64(halves, halves, 4))
