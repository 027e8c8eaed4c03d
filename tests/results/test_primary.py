"""The primary answer: which contrasts, against the statistics called by hand, and what is said of their limits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.report import Provenance, contents, render
from xstilts.results import Evaluation
from xstilts.results.measured import Measured
from xstilts.results.primary import Cells, primary
from xstilts.results.primary_table import primary_table
from xstilts.results.rows import Answers
from xstilts.results.text import to_json
from xstilts.results.words import ABSENT
from xstilts.spec import Analysis
from xstilts.statistics import (
    Term,
    holm,
    interval,
    mean_zero_shot,
    sample,
    transfer_gap,
)

from .answered import CLUSTERS, LANGUAGES, RELATIONS, delta, results


def test_two_models_are_asked_for_their_interaction():
    made = results()
    rows = primary(made, Analysis())
    assert [(row.measure, row.model, row.reference) for row in rows] == [
        ("meanZeroShot", "large", "base"),
        ("transferGap", "large", "base"),
    ]
    for row, weights in zip(rows, (mean_zero_shot(LANGUAGES), transfer_gap(LANGUAGES)), strict=True):
        terms = [Term(1, delta(made, "large", weights)), Term(-1, delta(made, "base", weights))]
        assert row.points == interval(terms)
        assert row.deltas == (terms[0].sample.mean, terms[1].sample.mean)
    assert [row.adjusted for row in rows] == holm([row.points.p_value for row in rows])


def test_one_model_is_asked_for_its_delta_and_three_for_two_interactions():
    assert {(row.model, row.reference) for row in primary(results(("base",)), Analysis())} == {("base", None)}
    rows = primary(results(("base", "large", "xl")), Analysis())
    assert {(row.model, row.reference) for row in rows} == {("large", "base"), ("xl", "base")}


def test_the_worst_language_is_that_of_none():
    made = results()
    none = [languages for cell, languages in made.answers.items() if cell.intermediate == "none"]
    right = {language: sum(one[language].right.count("1") for one in none) for language in ("de", "sw")}
    worst = min(right, key=right.get)
    (row,) = primary(made, Analysis(primary=("worstLanguage",)))
    terms = [Term(1, delta(made, "large", {worst: 1.0})), Term(-1, delta(made, "base", {worst: 1.0}))]
    assert row.points == interval(terms)


def test_languages_that_are_not_parallel_have_clusters_of_their_own():
    """Then errors do not cancel between languages."""
    own = results(clusters={"sw": tuple(np.roll(CLUSTERS, 1).tolist())})
    shared = results()
    (a, _), (b, _) = primary(own, Analysis()), primary(shared, Analysis())
    assert a.points.estimate == pytest.approx(b.points.estimate)
    assert a.points.standard_error != pytest.approx(b.points.standard_error)


def test_clusters_that_languages_share_are_one_in_all_of_them():
    """Sentences that two of them have and sentences of their own, as retrieval has them: errors do not cancel."""
    numbers = {
        "de": np.arange(60),
        "sw": np.concatenate([np.arange(30), np.arange(60, 90)]),
        "en": np.arange(100, 160),
    }
    clusters = {language: tuple(of.tolist()) for language, of in numbers.items()}
    made = results(clusters=clusters)
    shared = replace(
        made,
        answers={
            cell: {language: replace(of, shared=True) for language, of in languages.items()}
            for cell, languages in made.answers.items()
        },
    )
    weights = {"de": 0.5, "sw": 0.5}

    def delta_of(model):
        both = []
        for name in ("mnli", "none"):
            cells = [made.answers[Evaluation(model, name, "xnli", seed)] for seed in (1, 2, 3)]
            right = {
                language: np.array([[digit == "1" for digit in cell[language].right] for cell in cells])
                for language in weights
            }
            both.append(sample(right, numbers, weights))
        return both[0] - both[1]

    row, _ = primary(shared, Analysis())
    by_hand = interval([Term(1, delta_of("large")), Term(-1, delta_of("base"))])
    apart, _ = primary(made, Analysis())
    assert row.points.standard_error == pytest.approx(by_hand.standard_error)
    assert row.points.standard_error != pytest.approx(apart.points.standard_error)


def test_texts_that_coincide_in_one_language_leave_it_parallel():
    """In sw the first and the last premise have one text: all premises are kept apart, and errors cancel as before."""
    merged = tuple(0 if number == 19 else number for number in CLUSTERS)
    one, shared = results(clusters={"sw": merged}), results()
    assert primary(one, Analysis()) == primary(shared, Analysis())


def test_other_numbers_for_the_same_clusters_are_the_same_clusters():
    backwards = tuple(reversed(CLUSTERS))
    (a, _), (b, _) = primary(results(clusters={"sw": backwards}), Analysis()), primary(results(), Analysis())
    assert a.points == b.points


def test_without_none_there_is_no_answer():
    assert not primary(results(intermediates=("mnli",)), Analysis())


def test_scores_without_answers_are_answered_for_seeds_alone_and_the_table_says_so():
    made = results(answers={})
    first, _ = primary(made, Analysis())
    with_items, _ = primary(results(), Analysis())
    assert first.points.estimate == pytest.approx(with_items.points.estimate)
    assert (first.points.covers_seeds, first.points.covers_items) == (True, False)
    assert (first.log_odds, first.bootstrap) == (None, None)
    table = primary_table([first], made, Analysis())
    assert "covers seeds only" in " ".join(table.notes)
    assert (
        dict(zip([column.title for column in table.columns], table.rows[0], strict=True))["covers"] == "seeds"
    )


def test_one_seed_without_answers_has_an_estimate_and_no_interval():
    made = results(answers={}, seeds=(1,))
    rows = primary(made, Analysis())
    table = primary_table(rows, made, Analysis())
    cells = dict(zip([column.title for column in table.columns], table.rows[0], strict=True))
    assert cells["points"] != ABSENT
    assert (cells["95 % interval"], cells["p"], cells["detectable"], cells["covers"]) == (ABSENT,) * 3 + (
        "nothing",
    )
    assert "No interval" in " ".join(table.notes)
    said = json.loads(to_json(made, rows), parse_constant=pytest.fail)["primary"][0]["points"]
    assert said["standard_error"] is None


def test_without_flagged_cells_other_weights_and_another_correction():
    """squad is unrelated; translated has seen German; mnli is in-task in all languages."""
    relations = {
        **RELATIONS,
        ("translated", "xnli", "de"): Relation(TrainingOverlap.NONE, language_seen=True),
    }
    made = results(intermediates=("none", "mnli", "squad", "translated"), relations=relations)
    rows = primary(made, Analysis(primary=("meanZeroShot",)))
    without = [row for row in rows if row.cells is Cells.UNRELATED]
    assert [(row.intermediate, row.languages) for row in without] == [("squad", 2), ("translated", 1)]
    assert [row.adjusted for row in without] == holm([row.points.p_value for row in without])
    terms = [
        Term(sign, delta(made, model, {"sw": 1.0}, "translated"))
        for sign, model in ((1, "large"), (-1, "base"))
    ]
    assert without[1].points == interval(terms)
    table = primary_table(rows, made, Analysis())
    assert "cells" in [column.title for column in table.columns]
    assert table.title == "one: primary answer"
    relations = {(row[2], row[-2]): row[-1] for row in table.rows}
    assert relations["translated", "all"] == "seen: de"
    assert relations["translated", Cells.UNRELATED.value] == ""  # German is left out there
    assert [row.cells for row in primary(results(relations={}), Analysis())] == [Cells.ALL] * 2


def test_collapsed_seeds_are_marked_stay_in_and_are_left_out_once():
    made = results(seeds=(1, 2, 3, 4))
    cell = Evaluation("large", "mnli", "xnli", 2)
    guesses = Answers("100" * 20, CLUSTERS)
    rows = tuple(
        replace(row, value=100 / 3)
        if (row.model, row.intermediate, row.seed) == ("large", "mnli", 2)
        else row
        for row in made.rows
    )
    low = replace(
        made,
        answers={**made.answers, cell: dict.fromkeys(LANGUAGES, guesses)},
        rows=rows,
        chance={"xnli": dict.fromkeys(LANGUAGES, 25.0)},
        relations={},
    )
    assert Measured(low).collapsed == (cell,)
    found = primary(low, Analysis())
    assert {row.cells: row.seeds for row in found} == {Cells.ALL: (4, 4), Cells.LEARNED: (3, 4)}
    assert "Collapsed" in " ".join(primary_table(found, low, Analysis()).notes)
    assert not Measured(replace(low, chance={})).collapsed


def test_a_deterministic_none_is_that_of_every_seed():
    made = results(answers={})
    rows = tuple(
        replace(row, seed=None, value=40.0)
        for row in made.rows
        if row.intermediate == "none" and row.seed == 1
    ) + tuple(row for row in made.rows if row.intermediate == "mnli")
    found = primary(replace(made, rows=rows), Analysis(primary=("meanZeroShot",)))
    assert found[0].seeds == (3, 3)


def test_ties_are_no_effect_and_no_error():
    """All models have answered all alike: the contrast is 0 with certainty."""
    made = results()
    same = next(iter(made.answers.values()))
    tied = replace(
        made,
        answers=dict.fromkeys(made.answers, same),
        rows=tuple(replace(row, value=50.0) for row in made.rows),
    )
    for row in primary(tied, Analysis()):
        assert (row.points.estimate, row.points.low, row.points.high, row.adjusted) == (0.0, 0.0, 0.0, 1.0)
        assert row.bootstrap == (0.0, 0.0)


def test_the_table_says_what_its_intervals_cover_and_what_is_in_task():
    made = results(seeds=(1,))
    table = primary_table(primary(made, Analysis()), made, Analysis())
    assert "covers the choice of test items only" in " ".join(table.notes)
    assert table.rows[0][-1] == "in-task"
    [detectable] = {row[[column.title for column in table.columns].index("detectable")] for row in table.rows}
    assert detectable == ABSENT  # whatever items alone would tell, nothing is found with one seed
    assert table.rows[0][1] == "Δ large - Δ base"
    full = results()
    assert "test items only" not in " ".join(primary_table(primary(full, Analysis()), full, Analysis()).notes)


def test_evaluations_without_answers_are_named():
    made = results()
    dropped = dict(list(made.answers.items())[1:])
    table = primary_table(primary(results(answers=dropped), Analysis()), results(answers=dropped), Analysis())
    assert any("base / none / xnli, seed 1" in note for note in table.notes)


def test_the_page_shows_it_and_escapes_it():
    made = results(models=("base", "<large>"))
    answer = primary(made, Analysis())
    table = primary_table(answer, made, Analysis())
    page = render(contents(made, Analysis()), Provenance({}, (), (), ()))
    assert '<h2 id="primary">Primary answer</h2>' in page
    assert "Δ &lt;large&gt; - Δ base" in page
    assert table.rows[0][5] in page
    assert json.loads(to_json(made, answer))["primary"][0]["points"]["estimate"] == answer[0].points.estimate
