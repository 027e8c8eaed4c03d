"""The paper's summaries and the measures of robustness, against plain arithmetic and a truth that is known."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp
from statsmodels.stats.multitest import multipletests

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.collapse import CHANCE_QUANTILE
from xstilts.results.measured import Measured, score_delta
from xstilts.results.robustness import group_deltas, language_deltas, robustness
from xstilts.results.rows import IntermediateTraits
from xstilts.results.selection import Selection
from xstilts.results.summaries import (
    Split,
    best_of,
    comparisons,
    consistencies,
    target_means,
)
from xstilts.stage import Family
from xstilts.statistics import Term, interval
from xstilts.task import Metric

NAMES = ("none", "mnli", "squad", "all-nine", "mnli-mlm")
LANGUAGES = ("en", "de", "ru", "sw", "ur")
SEEDS = (1, 2, 3)
TRAITS = {
    "mnli": IntermediateTraits(("mnli",)),
    "squad": IntermediateTraits(("squad",)),
    "all-nine": IntermediateTraits(("mnli", "squad")),
    "mnli-mlm": IntermediateTraits(("mnli",), "continued MLM"),
}


def made(targets=("pawsx", "xquad", "bucc2018"), seeds=SEEDS, **changes) -> Results:
    draw = np.random.default_rng(0)
    metric = {"xquad": "exact_match", "bucc2018": "f1"}
    rows = [
        ScoreRow("base", name, target, seed, language, number, round(float(50 + 10 * draw.random()), 3))
        for target in targets
        for name in NAMES
        for seed in seeds
        for language in LANGUAGES
        for number in (["exact_match", "f1"] if target == "xquad" else [metric.get(target, "accuracy")])
    ]
    known = {
        "pawsx": Metric.ACCURACY,
        "xquad": Metric.SQUAD,
        "bucc2018": Metric.MINING_F1,
        "xnli": Metric.ACCURACY,
    }
    results = Results(
        experiment="made",
        models={"base": Family.XLMR},
        intermediates=NAMES,
        targets={target: known[target] for target in targets},
        rows=tuple(rows),
        traits=TRAITS,
        relations={
            (name, "xquad", language): Relation(TrainingOverlap.SAME, language_seen=False)
            for name in ("squad", "all-nine")
            for language in LANGUAGES
        },
    )
    return replace(results, **changes)


def score(results, name, target, seed):
    """XTREME's: the mean over languages of the metric, or of both numbers of QA."""
    return fmean(
        row.value for row in results.rows if (row.intermediate, row.target, row.seed) == (name, target, seed)
    )


def delta(results, name, target, seed, other="none"):
    return score(results, name, target, seed) - score(results, other, target, seed)


def test_the_mean_over_targets_is_seed_by_seed_and_test_apart_from_dev():
    results = made()
    found = {(one.intermediate, one.split): one for one in target_means(Measured(results))}
    one = found["squad", Split.TEST]
    by_seed = [
        fmean(delta(results, "squad", target, seed) for target in ("pawsx", "xquad")) for seed in SEEDS
    ]
    assert one.targets == ("pawsx", "xquad")
    assert one.mean.estimate == pytest.approx(fmean(by_seed))
    assert (one.mean.low, one.mean.high) == pytest.approx(
        tuple(ttest_1samp(by_seed, 0).confidence_interval())
    )
    assert one.related == ("xquad",)
    assert one.unrelated.estimate == pytest.approx(
        fmean(delta(results, "squad", "pawsx", seed) for seed in SEEDS)
    )
    assert found["squad", Split.DEV].targets == ("bucc2018",)
    assert found["mnli", Split.TEST].unrelated is None
    helped = sum(
        fmean(delta(results, "squad", target, seed) for seed in SEEDS) > 0 for target in ("pawsx", "xquad")
    )
    assert one.helped == helped


def test_consistency_counts_the_intermediates_that_help():
    results = made()
    [pawsx, xquad, _] = consistencies(Measured(results))
    assert (pawsx.helped, pawsx.intermediates) == (
        sum(fmean(delta(results, name, "pawsx", seed) for seed in SEEDS) > 0 for name in NAMES[1:]),
        4,
    )
    assert xquad.related == ("squad", "all-nine")


def test_a_tie_helps_nobody():
    """The same scores in other languages have the same mean, but for the order of its sum."""
    results = made(targets=("pawsx",))
    values = dict(zip(LANGUAGES, (50.0, 43.3, 61.7, 20.1, 55.2), strict=True))
    turned = dict(zip(LANGUAGES, (50.0, 43.3, 55.2, 61.7, 20.1), strict=True))
    rows = [
        replace(row, value=(values if row.intermediate == "none" else turned)[row.language])
        for row in results.rows
    ]
    measured = Measured(replace(results, rows=tuple(rows)))
    assert score_delta(measured, "base", "mnli", "pawsx").mean != 0
    assert [one.helped for one in consistencies(measured)] == [0]
    assert {one.helped for one in target_means(measured)} == {0}


def test_a_variant_is_held_against_its_plain_form():
    results = made()
    [mix, mlm] = sorted(comparisons(Measured(results)), key=lambda one: one.intermediate)
    assert (mlm.intermediate, mlm.against, mlm.selection) == ("mnli-mlm", "mnli", ())
    by_seed = [
        fmean(delta(results, "mnli-mlm", target, seed, "mnli") for target in results.targets)
        for seed in SEEDS
    ]
    assert mlm.difference.estimate == pytest.approx(fmean(by_seed))
    assert mlm.difference.p_value == pytest.approx(ttest_1samp(by_seed, 0).pvalue)
    assert (mix.intermediate, mix.against, mix.selection) == (
        "all-nine",
        "best single",
        (Selection.OTHER_SEEDS,),
    )


def best_single(results):
    return next((one for one in comparisons(Measured(results)) if one.against == "best single"), None)


def test_the_best_single_is_chosen_on_each_target_in_its_own_way():
    dev = {
        Evaluation("base", name, "pawsx", seed): 60.0 + (name == "mnli") for name in NAMES for seed in SEEDS
    }
    results = made(targets=("pawsx", "xquad"), dev=dev)
    one = best_single(results)
    assert one.targets == ("pawsx", "xquad")
    assert one.selection == (Selection.ENGLISH_DEV, Selection.OTHER_SEEDS)


def test_a_target_on_which_no_single_one_can_be_chosen_is_left_out_of_the_comparison():
    """xquad has one seed: nothing to choose on apart from what is scored."""
    results = made(targets=("pawsx", "xquad"))
    rows = tuple(row for row in results.rows if row.target == "pawsx" or row.seed == 1)
    one = best_single(replace(results, rows=rows))
    assert (one.targets, one.selection) == (("pawsx",), (Selection.OTHER_SEEDS,))
    assert one == best_single(made(targets=("pawsx",)))
    assert best_single(made(seeds=(1,))) is None


def test_english_dev_chooses_where_the_target_has_one_of_its_own():
    dev = {
        Evaluation("base", name, target, seed): 60.0 + (name == "mnli")
        for name in NAMES
        for target in ("pawsx", "xquad")
        for seed in SEEDS
    }
    results = made(targets=("pawsx", "xquad"), dev=dev)
    pawsx, xquad, mean = best_of(Measured(results))
    assert (pawsx.selection, pawsx.chosen) == ((Selection.ENGLISH_DEV,), {"mnli": 3.0})
    assert pawsx.delta.estimate == pytest.approx(
        fmean(delta(results, "mnli", "pawsx", seed) for seed in SEEDS)
    )
    assert xquad.selection == (Selection.OTHER_SEEDS,)  # its dev is held out of what its test was made of
    assert mean.target is None
    assert mean.delta.estimate == pytest.approx((pawsx.delta.estimate + xquad.delta.estimate) / 2)
    without = best_of(Measured(results), unrelated=True)
    assert "squad" not in without[1].chosen


def test_robustness_is_that_of_the_languages_that_are_worst_for_none():
    results = made(targets=("pawsx",))
    measured = Measured(results)
    means = {
        name: {
            language: fmean(
                row.value for row in results.rows if (row.intermediate, row.language) == (name, language)
            )
            for language in LANGUAGES[1:]
        }
        for name in NAMES
    }
    lowest = sorted(means["none"], key=means["none"].get)
    none, mnli, *_ = robustness(measured)
    assert mnli.worst == (lowest[0], pytest.approx(means["mnli"][lowest[0]]))
    assert mnli.bottom == pytest.approx(fmean(means["mnli"][language] for language in lowest[:3]))
    assert mnli.over_languages == pytest.approx(stdev(means["mnli"].values()))
    gains = {language: means["mnli"][language] - means["none"][language] for language in LANGUAGES[1:]}
    assert (mnli.improved, mnli.compared) == (sum(value > 0 for value in gains.values()), 4)
    assert mnli.worst_delta == (min(gains, key=gains.get), pytest.approx(min(gains.values())))
    by_seed = [
        fmean(
            row.value
            for row in results.rows
            if row.intermediate == "mnli" and row.seed == seed and row.language != "en"
        )
        for seed in SEEDS
    ]
    assert mnli.over_seeds == pytest.approx(stdev(by_seed))
    assert (none.improved, none.worst_delta) == (None, None)


@pytest.mark.parametrize(("chance", "items"), [(1 / 3, 5_010), (1 / 2, 2_000), (1 / 3, 500)])
def test_of_blind_guesses_one_in_a_thousand_passes_for_better(chance, items):
    """By the tail of the binomial distribution itself, which the margin takes for a normal one."""
    margin = CHANCE_QUANTILE * (chance * (1 - chance) / items) ** 0.5
    assert binom.sf(items * (chance + margin), items, chance) == pytest.approx(0.001, rel=0.2)


def test_groups_and_languages_are_corrected_over_the_whole_table():
    measured = Measured(made(targets=("pawsx",)))
    groups = group_deltas(measured)
    mnli = {(one.kind, one.group): one.languages for one in groups if one.intermediate == "mnli"}
    assert mnli == {
        ("script", "Arabic"): ("ur",),
        ("script", "Cyrillic"): ("ru",),
        ("script", "Latin"): ("de", "sw"),
        ("resources", "class 2"): ("sw",),
        ("resources", "class 3"): ("ur",),
        ("resources", "class 4"): ("ru",),
        ("resources", "class 5"): ("de",),
    }
    languages = language_deltas(measured)
    assert len(languages) == 4 * len(LANGUAGES)
    for table in (groups, languages):
        adjusted = multipletests([one.delta.p_value for one in table], method="fdr_bh")[1]
        assert [one.adjusted for one in table] == pytest.approx(adjusted)
    one = languages[0]
    expected = interval([Term(1, measured.delta("base", one.intermediate, "pawsx", {one.language: 1.0}))])
    assert one.delta == expected
    assert score_delta(measured, "base", "mnli", "pawsx").seeds == 3


def test_one_seed_without_items_has_deltas_and_no_p_values():
    measured = Measured(made(targets=("pawsx",), seeds=(1,)))
    assert {one.adjusted for one in language_deltas(measured)} == {None}
    assert all(one.over_seeds is None for one in robustness(measured))
