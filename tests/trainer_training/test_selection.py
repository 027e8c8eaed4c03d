"""The best epoch by dev score."""

from __future__ import annotations

import pytest

from xstilts_trainer.training.selection import best_epoch


def test_the_best_mean_wins():
    assert best_epoch([{"a": 10, "b": 90}, {"a": 60, "b": 60}, {"a": 0, "b": 100}]) == 1


def test_the_earlier_one_wins_a_tie():
    assert best_epoch([{"a": 1.0}, {"a": 5.0}, {"a": 5.0}]) == 1


def test_without_selection_data_the_last_is_kept():
    assert best_epoch([{}, {}, {}]) == 2


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match="no epoch"):
        best_epoch([])
