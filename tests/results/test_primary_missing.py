"""The primary answer where scores, answers or seeds are missing: what it says of it, and what that is to its correction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xstilts.report import contents
from xstilts.results import Evaluation
from xstilts.results.primary import Cells, primary, unanswered
from xstilts.results.primary_table import primary_table
from xstilts.spec import Analysis
from xstilts.statistics import (
    holm,
    smallest_detectable,
)

from .answered import LANGUAGES, results, without


def test_a_cell_that_was_not_run_is_a_row_that_says_so():
    made = results()
    kept = {
        cell: of for cell, of in made.answers.items() if (cell.model, cell.intermediate) != ("large", "mnli")
    }
    rows = [row for row in made.rows if (row.model, row.intermediate) != ("large", "mnli")]
    partial = replace(made, answers=kept, rows=tuple(rows))
    assert not primary(partial, Analysis())
    assert [one.reason for one in unanswered(partial, Analysis())] == ["large / mnli has no scores"] * 2
    table = primary_table([], partial, Analysis())
    assert len(table.rows) == 2
    assert "large / mnli has no scores" in table.rows[0]
    assert "Asked for and not there: 2 contrasts" in " ".join(table.notes)


def test_what_has_no_scores_yet_counts_in_the_correction():
    """Else the first of nine contrasts would be corrected for nothing, and p would rise as the others come."""
    made = without(results(intermediates=("none", "mnli", "squad", "qqp"), relations={}), ("large", "qqp"))
    rows = primary(made, Analysis())
    assert len(rows) == 4
    assert [row.adjusted for row in rows] == holm([*(row.points.p_value for row in rows), 1.0, 1.0])[:4]
    for row in rows:
        assert row.detectable == smallest_detectable(row.points, 1 - 0.05 / 6)
    bounded = primary(made, Analysis(correction="BH"))
    assert min(row.adjusted for row in bounded) >= 6 / 4 * min(row.points.p_value for row in rows)


def test_what_can_never_be_asked_does_not_count_in_the_correction():
    made = results(intermediates=("none", "mnli", "squad"), relations={})
    german = replace(
        made,
        answers={cell: {"de": of["de"]} for cell, of in made.answers.items()},
        rows=tuple(row for row in made.rows if row.language == "de"),
    )
    [row] = primary(without(german, ("large", "squad")), Analysis())
    assert row.adjusted == holm([row.points.p_value, 1.0])[0]


def test_each_set_of_cells_is_corrected_over_what_is_asked_of_it():
    """mnli is in-task in all languages: without it two are asked for, one of which has no scores yet."""
    made = without(results(intermediates=("none", "mnli", "squad", "qqp")), ("base", "qqp"))
    rows = primary(made, Analysis(primary=("meanZeroShot",)))
    assert [row.cells for row in rows] == [Cells.ALL, Cells.ALL, Cells.UNRELATED]
    assert rows[2].adjusted == holm([rows[2].points.p_value, 1.0])[0]
    assert rows[2].detectable == smallest_detectable(rows[2].points, 1 - 0.05 / 2)


def test_a_contrast_whose_seeds_have_all_collapsed_counts_among_those_without():
    made = results(intermediates=("none", "mnli", "squad"), relations={})
    rows = tuple(
        replace(row, value=20.0) if (row.model, row.intermediate) == ("large", "squad") else row
        for row in made.rows
    )
    low = replace(made, rows=rows, chance={"xnli": dict.fromkeys(LANGUAGES, 25.0)})
    found = primary(low, Analysis(primary=("meanZeroShot",)))
    *_, left = found
    assert [row.cells for row in found] == [Cells.ALL, Cells.ALL, Cells.LEARNED]
    assert left.adjusted == holm([left.points.p_value, 1.0])[0]


def test_a_cell_with_scores_and_no_answers_says_so():
    made = results()
    kept = {
        cell: of for cell, of in made.answers.items() if (cell.model, cell.intermediate) != ("large", "mnli")
    }
    assert "large / mnli has no answers by item" in {
        one.reason for one in unanswered(replace(made, answers=kept), Analysis())
    }


def test_seeds_that_no_model_shares_with_its_none_are_named():
    made = results()
    moved = {
        Evaluation(cell.model, cell.intermediate, cell.target, 9 + cell.seed)
        if cell.intermediate == "mnli"
        else cell: of
        for cell, of in made.answers.items()
    }
    assert "no seed in common" in unanswered(replace(made, answers=moved), Analysis())[0].reason


def test_a_language_that_one_evaluation_lacks_is_left_out_of_all_and_named():
    made = results()
    first = next(iter(made.answers))
    answers = {**made.answers, first: {code: of for code, of in made.answers[first].items() if code != "sw"}}
    rows = [
        row
        for row in made.rows
        if row.language != "sw" or Evaluation(row.model, row.intermediate, row.target, row.seed) != first
    ]
    lacking = replace(made, answers=answers, rows=tuple(rows))
    found = primary(lacking, Analysis())
    assert found[0].languages == 1
    assert "xnli: left out" in " ".join(primary_table(found, lacking, Analysis()).notes)


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_a_test_set_of_one_cluster_says_nothing_of_other_items(seeds):
    """All items hang together: an interval over seeds alone, or none, and a report of it."""
    made = results(seeds=seeds, clusters=dict.fromkeys(LANGUAGES, (0,) * 60))
    [row, _] = primary(made, Analysis())
    assert (row.points.covers_seeds, row.points.covers_items) == (len(seeds) == 3, False)
    assert (row.bootstrap, row.log_odds) == (None, None)
    assert contents(made, Analysis()).tables["languages"].rows


def test_a_target_whose_evaluations_have_no_language_in_common_has_no_answer_and_says_why():
    made = results()
    kept = {"none": {"en"}, "mnli": {"de", "sw"}}
    rows = tuple(row for row in made.rows if row.language in kept[row.intermediate])
    apart = replace(made, rows=rows, answers={})
    found = contents(apart, Analysis())
    assert not found.primary
    assert {one.reason for one in unanswered(apart, Analysis())} == {
        "the target's evaluations have no language in common"
    }
    assert len(found.summary.rows) == 4
