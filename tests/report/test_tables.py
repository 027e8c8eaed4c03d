"""The report's tables: published scores beside ours with the reasons against it, and what a mix lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xstilts.catalogue import CATALOGUE, INTERMEDIATES
from xstilts.catalogue.published import PUBLISHED
from xstilts.report.contents import contents
from xstilts.report.published import comparable
from xstilts.report.tables import report_tables
from xstilts.results import Results, ScoreRow
from xstilts.results.measured import Measured
from xstilts.results.rows import IntermediateTraits
from xstilts.spec import Analysis
from xstilts.stage import Family
from xstilts.task import Metric


def results(model="google/mt5-base", languages=CATALOGUE["xnli"].languages, **changes):
    rows = [
        ScoreRow("ours", name, "xnli", 1, code, "accuracy", 70.0 + 2 * (name != "none"))
        for name in ("none", "all-eight")
        for code in languages
    ]
    made = Results(
        experiment="made",
        models={"ours": Family.MT5},
        intermediates=("none", "all-eight"),
        targets={"xnli": Metric.ACCURACY},
        rows=tuple(rows),
        traits={"all-eight": IntermediateTraits(tuple(name for name in INTERMEDIATES if name != "ccg"))},
        pretrained={"ours": model},
    )
    return replace(made, **changes)


def of(source, made, model):
    return next(
        one
        for one in comparable(made)
        if source in one.published.source and one.published.pretrained == model
    )


def test_a_published_score_stands_beside_ours_only_of_the_same_model():
    made = results("FacebookAI/xlm-roberta-large")
    same = of("Hu et al", made, "FacebookAI/xlm-roberta-large")
    assert (same.ours, same.published.score, same.reasons) == (pytest.approx(70.0), 79.2, ())
    other = of("multilingual-t5", made, "google/mt5-base")
    assert other.ours is None
    assert other.reasons[0] == "another model"


def test_what_cannot_be_compared_says_why():
    made = results("FacebookAI/xlm-roberta-large", languages=("de", "en"), from_files=("xnli",))
    assert of("Hu et al", made, "FacebookAI/xlm-roberta-large").reasons == (
        "2 of 15 languages here",
        "rows from files here",
    )
    assert "dev there, test here" in of("Phang", made, "FacebookAI/xlm-roberta-large").reasons
    assert any(
        "not selected on English" in reason
        for reason in of("multilingual-t5", results(), "google/mt5-base").reasons
    )
    unscored = results("google/mt5-base", rows=())
    assert "not scored here yet" in of("multilingual-t5", unscored, "google/mt5-base").reasons


def test_published_scores_are_of_targets_of_the_catalogue():
    assert {one.target for one in PUBLISHED} <= {name for name, entry in CATALOGUE.items() if entry.is_target}
    assert all(0 < one.score < 100 and one.split in {"test", "dev"} for one in PUBLISHED)
    assert len({(one.source, one.pretrained, one.target) for one in PUBLISHED}) == len(PUBLISHED)


def test_a_mix_without_ccg_says_that_it_is_one_of_eight():
    tables = report_tables(Measured(results()))
    assert "a mix of eight" in " ".join(tables["means"].notes)
    assert tables["languages"].rows[0][3:6] == ("en English", "+2.0", "–")  # noqa: RUF001


def test_results_without_none_have_a_report_too():
    made = results(intermediates=("all-eight",))
    made = replace(made, rows=tuple(row for row in made.rows if row.intermediate != "none"))
    found = contents(made, Analysis())
    assert "no none to compare with" in found.answer.sentences[0]
    assert not found.heatmaps
    assert not found.forests
    assert found.bars
