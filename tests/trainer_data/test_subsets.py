"""Held-out selection data keeps groups whole and knows no seed; a limited training set is the same for every seed."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import DataError
from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.load import load_texts
from xstilts_trainer.data.order import permutation
from xstilts_trainer.data.subsets import held_out, limited

contexts = st.lists(st.integers(0, 30), min_size=2, max_size=120).filter(
    lambda numbers: len(set(numbers)) > 1
)
fractions = st.sampled_from([Decimal("0.05"), Decimal("0.1"), Decimal("0.5")])


def questions(numbers):
    return [SpanExample(str(row), "Q", f"context {number}", (), ()) for row, number in enumerate(numbers)]


@given(contexts, fractions)
def test_groups_stay_whole_and_nothing_is_lost(numbers, fraction):
    examples = questions(numbers)
    train, dev = held_out(examples, fraction, "context")
    assert sorted([*train, *dev], key=lambda example: int(example.id)) == examples
    assert train
    assert not {example.context for example in train} & {example.context for example in dev}
    assert [int(example.id) for example in dev] == sorted(int(example.id) for example in dev)
    biggest = max(numbers.count(number) for number in numbers)
    assert 0 < len(dev) < fraction * len(examples) + biggest


@given(contexts, fractions, st.randoms())
def test_the_order_of_rows_decides_nothing(numbers, fraction, random):
    examples = questions(numbers)
    shuffled = random.sample(examples, len(examples))
    assert set(held_out(examples, fraction, "context")[1]) == set(held_out(shuffled, fraction, "context")[1])


def test_one_group_cannot_be_split():
    with pytest.raises(DataError, match="at least two different values of context to hold some out, has 1"):
        held_out(questions([1, 1, 1]), Decimal("0.1"), "context")


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_limit_draws_nested_parts_in_the_files_order(few, more):
    few, more = sorted((few, more))
    numbers = list(range(50))
    small, large = limited(numbers, few), limited(numbers, more)
    assert len(small) == min(few, 50)
    assert small == sorted(small)
    assert set(small) <= set(large)


@given(st.integers(0, 60), st.integers(0, 60))
def test_what_is_drawn_is_the_head_of_a_permutation(count, size):
    chosen = sorted(permutation(size, "maxExamples")[:count].tolist())
    assert limited((number for number in range(size)), count) == chosen


def test_of_what_is_read_no_more_is_held_than_is_drawn(tmp_path):
    """A Wikipedia of 5,000 rows of 10,000 characters, of which 100 are wanted."""
    rows = pa.table({"text": [f"{row} " + "w" * 10_000 for row in range(5_000)]})
    pq.write_table(rows, tmp_path / "train.sw.parquet", row_group_size=500)
    del rows
    tracemalloc.start()
    texts = load_texts(tmp_path, "train", "sw", 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(texts) == 100
    assert peak < 25_000_000  # of 50 MB


def test_no_limit_is_all_and_a_limit_is_no_prefix():
    assert limited([3, 1, 2], None) == [3, 1, 2]
    assert limited(range(1000), 100) != list(range(100))
