"""The primary answer: which contrasts, against the statistics called by hand, and what is said of their limits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.report import Provenance, render
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.primary import primary
from xstilts.results.primary_table import primary_table
from xstilts.results.rows import Answers
from xstilts.results.text import to_json
from xstilts.spec import Analysis
from xstilts.stage import Family
from xstilts.statistics import Term, holm, interval, mean_zero_shot, sample, transfer_gap
from xstilts.task import Metric

LANGUAGES = ("de", "en", "sw")
CLUSTERS = tuple(np.repeat(np.arange(20), 3).tolist())
RELATIONS = {
    ("mnli", "xnli", language): Relation(TrainingOverlap.SAME, language_seen=False) for language in LANGUAGES
}


def results(
    models=("base", "large"), seeds=(1, 2, 3), intermediates=("none", "mnli"), clusters=None, **changes
):
    draw = np.random.default_rng(0)
    answers = {
        Evaluation(model, intermediate, "xnli", seed): {
            language: Answers(
                "".join(map(str, draw.integers(0, 2, 60))), (clusters or {}).get(language, CLUSTERS)
            )
            for language in LANGUAGES
        }
        for model in models
        for intermediate in intermediates
        for seed in seeds
    }
    rows = tuple(
        ScoreRow(cell.model, cell.intermediate, cell.target, cell.seed, language, "accuracy", 50.0)
        for cell, languages in answers.items()
        for language in languages
    )
    return Results(
        experiment="one",
        models=dict.fromkeys(models, Family.MT5),
        intermediates=intermediates,
        targets={"xnli": Metric.ACCURACY},
        rows=rows,
        **{"answers": answers, "relations": RELATIONS, **changes},
    )


def delta(made, model, weights, intermediate="mnli"):
    both = []
    for name in (intermediate, "none"):
        cells = [made.answers[Evaluation(model, name, "xnli", seed)] for seed in (1, 2, 3)]
        right = {
            language: np.array([[digit == "1" for digit in cell[language].right] for cell in cells])
            for language in LANGUAGES
        }
        both.append(sample(right, dict.fromkeys(LANGUAGES, np.array(CLUSTERS)), weights))
    return both[0] - both[1]


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
    own = results(clusters={"sw": tuple(reversed(CLUSTERS))})
    shared = results()
    (a, _), (b, _) = primary(own, Analysis()), primary(shared, Analysis())
    assert a.points.estimate == pytest.approx(b.points.estimate)
    assert a.points.standard_error != pytest.approx(b.points.standard_error)


def test_without_none_or_answers_there_is_no_answer():
    assert not primary(results(intermediates=("mnli",)), Analysis())
    assert not primary(results(answers={}), Analysis())


def test_the_table_says_what_its_intervals_cover_and_what_is_in_task():
    made = results(seeds=(1,))
    table = primary_table(primary(made, Analysis()), made, Analysis())
    assert "covers the choice of test items only" in " ".join(table.notes)
    assert table.rows[0][-1] == "in-task"
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
    page = render(made, Provenance({}, (), (), ()), table)
    assert '<h2 id="primary">Primary answer</h2>' in page
    assert "Δ &lt;large&gt; - Δ base" in page
    assert table.rows[0][5] in page
    assert json.loads(to_json(made, answer))["primary"][0]["points"]["estimate"] == answer[0].points.estimate
    assert 'id="primary"' not in render(made, Provenance({}, (), (), ()))
