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
    return " ".join(made.headlines), " ".join(made.findings), " ".join(made.limits)


def test_one_contrast_is_the_answer_with_its_interval():
    headline, findings, limits = said(row())
    assert headline == (
        "On xnli, after mnli, the mean zero-shot score rises by 1.25 points for large and falls by 0.25 points for base. "
        "The difference (large minus base) is +1.50 points (95 % interval +0.50 to +2.50, corrected p 0.010)."
    )
    assert not findings
    assert "A true difference must be 0.80 points or larger to be found four times in five" in limits
    assert "for xnli and the models base, large" in limits
    assert "is the mean over the languages other than English" in limits
    assert "transfer gap" not in limits


def test_of_several_contrasts_it_begins_with_those_that_were_found():
    squad = row(intermediate="squad", measure="transferGap", estimate=-0.5, adjusted=0.4)
    headline, findings, limits = said(row(), squad)
    assert headline == (
        "A difference between large and base in the effect of intermediate training was found in 1 of 2 contrasts: "
        "+1.50 points in the mean zero-shot score on xnli after mnli (95 % interval +0.50 to +2.50). "
        "Differences are large minus base."
    )
    assert findings.count("The difference (large minus base) is") == 2
    assert "corrected over all that is asked of a target (Holm), is below 0.05" in limits
    assert "The transfer gap is English minus the mean of the other languages." in limits
    wide = row(reach=3.0, adjusted=0.4)
    none, _, _ = said(squad, wide)
    assert none == (
        "No difference between large and base in the effect of intermediate training was found in 2 contrasts; the largest "
        "is +1.50 points in the mean zero-shot score on xnli after mnli (95 % interval -1.50 to +4.50). 0 is not ruled out. "
        "Differences are large minus base."
    )


def test_one_model_is_asked_for_an_effect():
    alone = [row(intermediate=name, reference=None, deltas=(1.5,), seeds=(5,)) for name in ("a", "b")]
    headline, _, _ = said(*alone)
    assert headline.startswith(
        "An effect of intermediate training on large was found in 2 of 2 contrasts: +1.50 points in the mean "
        "zero-shot score on xnli after a ("
    )
    assert "minus" not in headline


def test_every_further_model_has_an_answer_of_its_own():
    made = answer([row(), row(model="xl", adjusted=0.9)], RESULTS, Analysis())
    assert len(made.headlines) == 2
    assert "(large minus base)" in made.headlines[0]
    assert "(xl minus base)" in made.headlines[1]


def test_an_answer_over_partial_results_says_so_first():
    partial = replace(RESULTS, missing=(Evaluation("base", "mnli", "xnli", 1),))
    headline, _, limits = said(row(), results=partial)
    assert headline.startswith("So far, on xnli, after mnli,")
    assert limits.startswith("Partial: 1 planned evaluation has no scores")


def test_nothing_is_claimed_that_could_be_nothing():
    wide = row(reach=3.0, adjusted=0.3)
    assert said(wide)[0].endswith("corrected p 0.300). 0 is not ruled out.")
    corrected = row(adjusted=0.09)
    corrected = replace(corrected, points=replace(corrected.points, p_value=0.01))
    assert said(corrected)[0].endswith("corrected p 0.090). After the correction, 0 is not ruled out.")


def test_without_seeds_no_difference_is_sure():
    headline, _, limits = said(row(covers_seeds=False, seeds=(1, 1)))
    assert "over the choice of test items alone" in headline
    assert headline.endswith("1 seed cannot tell it from the noise of training.")
    assert "With one or two seeds" in limits
    assert "four times in five" not in limits
    none = replace(row(covers_seeds=False, covers_items=False, seeds=(1, 1)))
    none = replace(none, points=replace(none.points, low=-inf, high=inf))
    assert "no interval" in said(none)[0]
    assert "inf" not in said(none)[0] + said(none, none)[0]


@pytest.mark.parametrize(
    ("estimate", "words"),
    [(2.0, "rises by 2.00 points"), (-2.0, "falls by 2.00 points"), (0.001, "changes by 0.00 points")],
)
def test_the_sign_chooses_the_word(estimate, words):
    sentence = said(row(estimate, reference=None, deltas=(estimate,)))[0]
    assert f"after mnli, the mean zero-shot score of large {words} (95 %" in sentence


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        ((-1.0, -1.5), "falls by 1.00 points for large and falls by 1.50 points for base"),
        ((1.5, 1.0), "rises by 1.50 points for large and rises by 1.00 points for base"),
        ((0.5, 0.0), "rises by 0.50 points for large and changes by 0.00 points for base"),
        ((0.2, -0.3), "rises by 0.20 points for large and falls by 0.30 points for base"),
    ],
)
def test_a_contrast_is_never_said_to_be_more_or_less_change(deltas, words):
    """All are +0.50: a gap that falls less, one that rises more, one that rises alone, and one that goes both ways."""
    sentence = said(row(0.5, measure="transferGap", deltas=deltas))[0]
    assert (
        f"after mnli, the transfer gap {words}. The difference (large minus base) is +0.50 points" in sentence
    )
    assert not {"more", "less"} & set(sentence.split())


def test_many_contrasts_are_counted():
    rows = [
        row(intermediate=name, estimate=value, adjusted=p)
        for name, value, p in [("a", 1.0, 0.01), ("b", -3.0, 0.2), ("c", 2.0, 0.03), ("d", 0.1, 0.9)]
    ]
    headline, findings, _ = said(*rows)
    assert (
        "was found in 2 of 4 contrasts: +1.00 points in the mean zero-shot score on xnli after a ("
        in headline
    )
    assert findings == (
        "On xnli, for the mean zero-shot score, a difference between large and base was found after 2 of 4 intermediates: "
        "a +1.00 (0.00 to +2.00; large +0.75, base -0.25); c +2.00 (+1.00 to +3.00; large +1.75, base -0.25)."
    )
    none, findings, _ = said(*(replace(one, adjusted=0.5) for one in rows))
    assert none.startswith("No difference between large and base")
    assert (
        "was found in 4 contrasts; the largest is -3.00 points in the mean zero-shot score on xnli after b ("
        in none
    )
    assert (
        "after 4 intermediates; the largest is b -3.00 (-4.00 to -2.00; large -3.25, base -0.25)" in findings
    )
    many, _, _ = said(*(replace(one, adjusted=0.01) for one in rows))
    assert "was found in 4 of 4 contrasts; the largest is -3.00 points in" in many


def test_what_is_not_tested_over_trainings_is_not_counted_as_not_found():
    """p is below 0.05, over items alone: that nothing was found would be as untrue as that something was."""
    rows = [row(intermediate=name, covers_seeds=False, seeds=(2, 2)) for name in "abcd"]
    headline, findings, limits = said(*rows)
    assert headline.startswith("It is not known whether there is a difference between large and base in the")
    assert "(95 % interval +0.50 to +2.50 over test items alone)" in headline
    assert "can be told from the noise of training after 4 intermediates; the largest" in findings
    assert "found" not in headline + findings + limits
    more = [*rows, row(intermediate="e"), row(intermediate="f", adjusted=0.5)]
    headline, findings, _ = said(*more)
    assert "was found in 1 of 2 contrasts with three seeds or more: +1.50 points in" in headline
    assert "after 1 of 2 intermediates with three seeds or more: e +1.50" in findings
    headline, findings, _ = said(*rows, more[-1])
    assert "was found in 1 contrast with three seeds or more; the largest is +1.50 points in" in headline
    assert "after 1 intermediate with three seeds or more; the largest is f" in findings


def test_the_model_with_the_fewest_seeds_is_the_one_that_does_not_tell():
    assert "1 seed cannot tell it" in said(row(covers_seeds=False, seeds=(5, 1)))[0]


def test_flagged_cells_are_named_with_what_is_left_without_them():
    relations = {("mnli", "xnli", "en"): Relation(TrainingOverlap.SAME, language_seen=False)}
    flagged = replace(RESULTS, relations=relations)
    headline, _, limits = said(row(), results=flagged)
    assert "mnli on xnli (in-task). Without these cells nothing is left." in limits
    assert headline.startswith("On xnli, after mnli [in-task], the mean")
    assert "on xnli after mnli [in-task] (95 %" in said(row(), row(), results=flagged)[0]
    without = row(intermediate="squad", cells=Cells.UNRELATED, adjusted=0.5)
    told = "Found without these cells: 0 of 1 contrast. With them: 1 of 1 contrast."
    assert told in said(row(), without, results=flagged)[2]
    assert told in said(row(), without, row(target="xquad"), results=flagged)[2]
    few = [replace(one, points=replace(one.points, covers_seeds=False)) for one in (row(), without)]
    limits = said(*few, results=flagged)[2]
    assert "Without these cells, as with them, no contrast has three seeds to be tested over." in limits


@pytest.mark.parametrize(
    ("log_odds", "matters"), [((0.1, 0.3), False), ((-0.1, 0.3), True), ((-0.3, -0.1), True)]
)
def test_a_contrast_that_depends_on_the_scale_is_named(log_odds, matters):
    low, high = log_odds
    one = row()
    one = replace(one, log_odds=replace(one.points, estimate=(low + high) / 2, low=low, high=high))
    said_so = "The scale matters in 1 contrast: " in said(one)[2]
    assert said_so is matters
    assert ("(mnli on xnli, mean zero-shot)" in said(one)[2]) is matters


def test_what_was_asked_for_and_is_not_there_is_named():
    assert "Asked for and not there: 2 contrasts (xnli: large / none has no scores)." in said(row())[2]


def test_no_answer_says_why():
    assert said()[0] == "No answer: large / none has no scores."
    assert said(results=replace(RESULTS, rows=()))[0] == "No answer: no evaluation has scores."
    assert "no none" in said(results=replace(RESULTS, intermediates=("mnli",)))[0]
    partial = replace(RESULTS, missing=(Evaluation("base", "mnli", "xnli", 1),))
    headline, _, limits = said(results=partial)
    assert headline == "No answer yet: large / none has no scores."
    assert "1 planned evaluation has no scores" in limits
