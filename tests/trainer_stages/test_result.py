"""A result always fits into a pod's termination message, and loses detail in a fixed order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.errors import DataError, Problem
from xstilts.stage import RESULT_LIMIT
from xstilts.task import Metric
from xstilts_trainer.result import bounded, failure, to_bytes

KEY, DIGEST = "a" * 64, "b" * 64
METRICS = {"udpos": Metric.TAGGING_F1, "xquad": Metric.SQUAD}


def scores(task, names, languages):
    return {task: {name: {f"l{number}": repr(100 / 3) for number in range(languages)} for name in names}}


def test_few_scores_are_told_whole():
    all_of_them = scores("udpos", ["f1", "precision", "recall", "accuracy"], 10)
    assert bounded(KEY, DIGEST, all_of_them, METRICS).scores == all_of_them


def test_many_scores_are_told_by_what_the_main_score_is_made_of():
    many = scores("udpos", ["f1", "precision", "recall", "accuracy"], 40)
    result = bounded(KEY, DIGEST, many, METRICS)
    assert result.scores == {"udpos": {"f1": many["udpos"]["f1"]}}


def test_then_digits_go_and_then_all():
    many = scores("xquad", ["exact_match", "f1"], 90)
    result = bounded(KEY, DIGEST, many, METRICS)
    assert result.scores["xquad"]["f1"] == {f"l{number}": "33.33" for number in range(90)}
    assert bounded(KEY, DIGEST, scores("xquad", ["f1"], 900), METRICS).scores == {}


@given(tasks=st.integers(1, 9), languages=st.integers(1, 200))
def test_it_always_fits(tasks, languages):
    many = {}
    for task in range(tasks):
        many |= scores(f"task{task}", ["f1", "precision"], languages)
    metrics = dict.fromkeys(many, Metric.TAGGING_F1)
    result = bounded(KEY, DIGEST, many, metrics)
    assert len(to_bytes(result)) <= RESULT_LIMIT
    assert result == bounded(KEY, DIGEST, many, metrics)
    assert result.outputs_digest == DIGEST


def test_a_failure_names_its_first_place_and_tells_all():
    error = DataError(Problem("a.jsonl: row 1", "must be x"), Problem("a.jsonl: row 7", "must be y"))
    told = failure(KEY, error).error
    assert told.field == "a.jsonl: row 1"
    assert told.message == "must be x; a.jsonl: row 7: must be y"


@pytest.mark.parametrize("character", ["x", "\0", "ü", "\U0001f600", '"'])
def test_a_long_failure_is_cut(character):
    result = failure(KEY, DataError(Problem("field", character * 10_000)))
    assert RESULT_LIMIT / 2 < len(to_bytes(result)) <= RESULT_LIMIT
    assert result.error.message.endswith("…")
    assert result.error.field == "field"


def test_any_exception_is_told():
    assert failure("", RuntimeError("no memory")).error.message == "RuntimeError: no memory"
