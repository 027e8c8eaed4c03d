"""Every table of scores says of itself that it is partial, and of a cell that it is related to its target or has collapsed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from tests.report.made import results

from xstilts.results import combinations, summary_table
from xstilts.results.compare import compare, compared_table
from xstilts.results.pivot import pivot_tables
from xstilts.spec import parse_experiment

EXPERIMENT = parse_experiment(
    """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made}
spec:
  models: [{name: mt5-base, pretrained: google/mt5-base}]
  targets: [{task: xnli}]
  seeds: [1]
""",
    source="made.yaml",
)
NOTE = (
    "Collapsed: 1 evaluation is no better in English than a blind guess (mt5-large / squad / xnli, seed 2)."
)


def rows(table):
    """The cells of every row by the columns' titles."""
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows]


def unmarked():
    """Results in which nothing is to be marked."""
    return replace(results(), chance={}, relations={}, missing=())


@pytest.mark.parametrize("table_of", [summary_table, partial(summary_table, ci=True)])
def test_the_table_of_scores_marks_collapsed_seeds(table_of):
    table = table_of(results())
    marked = {
        (row["model"], row["intermediate"]): (row["collapsed"], row["relation"])
        for row in rows(table)
        if row["target"] == "xnli" and (row["collapsed"] or row["relation"])
    }
    assert marked == {
        ("mt5-base", "mnli"): ("", "in-task, seen: de"),
        ("mt5-large", "mnli"): ("", "in-task, seen: de"),
        ("mt5-large", "squad"): ("1 of 3", ""),
    }
    assert any(note.startswith(NOTE) for note in table.notes)
    plain = table_of(unmarked())
    assert "collapsed" not in [column.title for column in plain.columns]
    assert not any("Collapsed" in note for note in plain.notes)


def test_a_combination_has_the_seeds_that_have_collapsed():
    found = {(row.model, row.intermediate, row.target): row.collapsed for row in combinations(results())}
    assert {names: seeds for names, seeds in found.items() if seeds} == {("mt5-large", "squad", "xnli"): (2,)}


def test_pivots_mark_the_columns_of_intermediates():
    base, large, *of_xquad = pivot_tables(results())
    assert base.title == "made: xnli (partial)"
    assert base.rows[-1] == ("mt5-base", "relation", "", "in-task, seen: de", "", "")
    assert large.rows[-2:] == (
        ("mt5-large", "relation", "", "in-task, seen: de", "", ""),
        ("mt5-large", "collapsed", "", "", "1 of 3", ""),
    )
    assert large.notes[-1].startswith(NOTE)
    assert not any("Collapsed" in note for table in (base, *of_xquad) for note in table.notes)
    assert {table.rows[-1][1] for table in of_xquad} == {"mean"}
    assert {table.title for table in pivot_tables(unmarked())} == {"made: xnli", "made: xquad"}
    assert {table.rows[-1][1] for table in pivot_tables(unmarked())} == {"mean"}


def test_a_comparison_marks_each_of_the_two():
    compared = compare((EXPERIMENT, results()), (EXPERIMENT, unmarked()))
    table = compared_table(compared, ("a", "b"))
    assert table.title == "b against a (partial)"
    found = {(row["model"], row["intermediate"], row["target"]): row for row in rows(table)}
    assert found["mt5-large", "squad", "xnli"]["collapsed"] == "1 and 0"
    assert found["mt5-large", "mnli", "xnli"]["relation"] == "a: in-task, seen: de"
    assert found["mt5-large", "mnli", "xquad"]["relation"] == ""
    both = compared_table(compare((EXPERIMENT, results()), (EXPERIMENT, results())), ("a", "b"))
    assert both.title == "b (partial) against a (partial)"
    [related] = {row["relation"] for row in rows(both)} - {""}
    assert related == "in-task, seen: de"
    neither = compared_table(compare((EXPERIMENT, unmarked()), (EXPERIMENT, unmarked())), ("a", "b"))
    assert neither.title == "b against a"
    assert "collapsed" not in [column.title for column in neither.columns]
