"""The answer's sentences: what a number decides, and what is said of its limits."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.report.answer import answer
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.primary import Cells, PrimaryRow
from xstilts.spec import Analysis
from xstilts.stage import Family
from xstilts.statistics import Interval
from xstilts.task import Metric

RESULTS = Results(
    experiment="made",
    models={"base": Family.XLMR, "large": Family.XLMR},
    intermediates=("none", "mnli"),
    targets={"xnli": Metric.ACCURACY},
    rows=(ScoreRow("base", "none", "xnli", 1, "en", "accuracy", 60.0),),
)


def row(estimate=1.5, reach=1.0, adjusted=0.01, **changes) -> PrimaryRow:
    points = Interval(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        standard_error=reach / 2,
        degrees=10,
        p_value=adjusted,
        covers_seeds=changes.pop("covers_seeds", True),
        covers_items=changes.pop("covers_items", True),
    )
    one = PrimaryRow(
        target="xnli",
        intermediate="mnli",
        measure="meanZeroShot",
        model="large",
        reference="base",
        points=points,
        log_odds=None,
        bootstrap=None,
        adjusted=adjusted,
        detectable=0.8,
        seeds=(5, 5),
        deltas=(estimate - 0.25, -0.25),
        cells=Cells.ALL,
        languages=14,
    )
    return replace(one, **changes)


def said(*rows, results=RESULTS):
    made = answer(rows, results, Analysis())
    return " ".join(made.sentences), " ".join(made.limits)


def test_a_difference_is_told_with_its_interval():
    sentences, limits = said(row())
    assert sentences == (
        "On xnli, after mnli the mean over the languages other than English rises by 1.25 points for large and falls by 0.25 "
        "points for base: the difference, Δ large - Δ base, is +1.50 points (95 % interval +0.50 to +2.50, corrected p 0.010)."
    )
    assert "smaller than 0.80 points" in limits
    assert "for xnli and the models base, large" in limits


def test_nothing_is_claimed_that_could_be_nothing():
    assert "a difference of 0 is not ruled out" in said(row(reach=3.0, adjusted=0.3))[0]


def test_without_seeds_no_difference_is_sure():
    sentences, limits = said(row(covers_seeds=False, seeds=(1, 1)))
    assert (
        "over the choice of test items alone: 1 seed cannot tell it from the noise of training" in sentences
    )
    assert "fewer than three seeds" in limits
    none = replace(row(covers_seeds=False, covers_items=False, seeds=(1, 1)))
    none = replace(none, points=replace(none.points, low=-inf, high=inf))
    assert "no interval" in said(none)[0]
    assert "inf" not in said(none)[0].split("(")[1]


@pytest.mark.parametrize(
    ("estimate", "reference", "words"),
    [
        (2.0, None, "of large is 2.00 points higher after mnli than without it"),
        (-2.0, None, "of large is 2.00 points lower after mnli"),
        (0.0, None, "of large is the same after mnli as without it"),
    ],
)
def test_the_sign_chooses_the_word(estimate, reference, words):
    assert words in said(row(estimate, reference=reference))[0]


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        ((-1.0, -1.5), "falls by 1.00 points for large and falls by 1.50 points for base"),
        ((1.5, 1.0), "rises by 1.50 points for large and rises by 1.00 points for base"),
        ((0.5, 0.0), "rises by 0.50 points for large and stays as it is for base"),
        ((0.2, -0.3), "rises by 0.20 points for large and falls by 0.30 points for base"),
    ],
)
def test_a_contrast_is_never_said_to_be_more_or_less_change(deltas, words):
    """All are +0.50: a gap that falls less, one that rises more, one that rises alone, and one that goes both ways."""
    sentence, _ = said(row(0.5, measure="transferGap", deltas=deltas))
    assert (
        f"after mnli the transfer gap {words}: the difference, Δ large - Δ base, is +0.50 points" in sentence
    )
    assert not {"more", "less"} & set(sentence.split())


def test_many_contrasts_are_counted():
    rows = [
        row(intermediate=name, estimate=value, adjusted=p)
        for name, value, p in [("a", 1.0, 0.01), ("b", -3.0, 0.2), ("c", 2.0, 0.03), ("d", 0.1, 0.9)]
    ]
    sentences, _ = said(*rows)
    assert "differs between large and base (Δ large - Δ base), with a corrected p below 0.05" in sentences
    assert (
        "after 2 of 4 intermediates: a +1.00 (0.00 to +2.00; large +0.75, base -0.25); "
        "c +2.00 (+1.00 to +3.00; large +1.75, base -0.25)." in sentences
    )
    none = [replace(one, adjusted=0.5) for one in rows]
    assert "after no intermediate of the 4" in said(*none)[0]
    assert (
        "the largest difference is -3.00 (-4.00 to -2.00; large -3.25, base -0.25) after b" in said(*none)[0]
    )


def test_what_is_not_tested_over_trainings_is_not_counted_as_not_found():
    """p is below 0.05, over items alone: that nothing was found would be as untrue as that something was."""
    rows = [row(intermediate=name, covers_seeds=False, seeds=(2, 2)) for name in "abcd"]
    sentences, limits = said(*rows)
    assert (
        "On xnli, no contrast is tested over trainings with fewer than three seeds, so after none of the 4"
        in sentences
    )
    assert "corrected p" not in sentences
    assert "smaller than" not in limits
    more = [*rows, row(intermediate="e"), row(intermediate="f", adjusted=0.5)]
    assert "after 1 of 2 intermediates with three seeds or more: e +1.50" in said(*more)[0]
    assert "after no intermediate of the 1 with three seeds or more that" in said(*rows, more[-1])[0]


def test_the_model_with_the_fewest_seeds_is_the_one_that_does_not_tell():
    assert "alone: 1 seed cannot tell it" in said(row(covers_seeds=False, seeds=(5, 1)))[0]


def test_flagged_cells_are_named_with_what_is_left_without_them():
    relations = {("mnli", "xnli", "en"): Relation(TrainingOverlap.SAME, language_seen=False)}
    flagged = replace(RESULTS, relations=relations)
    assert "mnli on xnli (in-task). Without these cells nothing is left." in said(row(), results=flagged)[1]
    without = row(intermediate="squad", cells=Cells.UNRELATED, adjusted=0.5)
    assert (
        "0 of 1 contrast over trainings have a corrected p below 0.05, with them 1 of 1 contrast."
        in said(row(), without, results=flagged)[1]
    )
    elsewhere = row(target="xquad")
    assert "with them 1 of 1 contrast." in said(row(), without, elsewhere, results=flagged)[1]
    few = [replace(one, points=replace(one.points, covers_seeds=False)) for one in (row(), without)]
    limits = said(*few, results=flagged)[1]
    assert (
        "Without these cells and with them, no contrast is tested over trainings with fewer than three seeds."
        in limits
    )
    assert "contrasts" not in limits


def test_no_answer_says_why():
    assert said()[0] == "No answer yet: large / none has no scores."
    assert said(results=replace(RESULTS, rows=()))[0] == "No answer yet: no evaluation has scores."
    assert "no none" in said(results=replace(RESULTS, intermediates=("mnli",)))[0]
    partial = replace(RESULTS, missing=(Evaluation("base", "mnli", "xnli", 1),))
    assert "1 planned evaluation without scores" in said(results=partial)[1]
