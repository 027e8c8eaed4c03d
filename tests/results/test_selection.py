"""The best of several: against plain loops, and against a truth that is known, nothing, where trainings differ by luck."""

from __future__ import annotations

import logging
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from xstilts.report.tables import report_tables
from xstilts.results import Evaluation, Results, ScoreRow
from xstilts.results.measured import Measured
from xstilts.results.rows import Answers
from xstilts.results.selection import SPLITS, Selection
from xstilts.results.summaries import best_of
from xstilts.stage import Family
from xstilts.task import Metric

LOG = logging.getLogger(__name__)  # what is said of simulations stands in docs/measurements.md
NAMES = tuple("abcdef")
ITEMS = 150
REPETITIONS = 200


def made(draw, *, luck=2.0, moved=0.15, seeds=(1, 2, 3), target="own", items=True, dev=False) -> Results:
    """Intermediates that do nothing, and trainings with good or bad luck, on dev as on test."""
    shifts = draw.normal(
        0, moved, (len(NAMES) + 1, ITEMS)
    )  # of items, up and down: the mean of a task's stays
    answers, rows, scores = {}, [], {}
    for name, shift in zip(("none", *NAMES), shifts, strict=True):
        for seed in seeds:
            run = draw.normal(0, luck)
            right = draw.random(ITEMS) < 0.5 + run / 100 + shift
            cell = Evaluation("base", name, target, seed)
            answers[cell] = {"de": Answers("".join(map(str, right.astype(int))), tuple(range(ITEMS)))}
            rows.append(ScoreRow("base", name, target, seed, "de", "accuracy", 100 * float(right.mean())))
            scores[cell] = 80 + run + draw.normal(0, 1)
    return Results(
        experiment="made",
        models={"base": Family.XLMR},
        intermediates=("none", *NAMES),
        targets={target: Metric.ACCURACY},
        rows=tuple(rows),
        answers=answers if items else {},
        dev=scores if dev else {},
    )


WAYS = {
    Selection.ENGLISH_DEV: {"dev": True},
    Selection.ITEM_HALVES: {},
    Selection.OTHER_SEEDS: {"items": False, "moved": 0.0},  # the same items choose and score
}


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("luck", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("way", WAYS)
def test_the_best_of_intermediates_that_do_nothing_brings_nothing(way, luck, seeds):
    """Whatever the luck of trainings, in points: the naive number is too high, and the more so the more of it there is."""
    draw = np.random.default_rng(1)
    found = [
        best_of(Measured(made(draw, luck=luck, seeds=range(seeds), **WAYS[way])))[0]
        for _ in range(REPETITIONS)
    ]
    assert {one.selection for one in found} == {(way,)}
    fitted, naive = [one.delta.estimate for one in found], [one.unselected for one in found]
    covered = fmean(one.delta.low <= 0 <= one.delta.high for one in found)
    error = stdev(fitted) / REPETITIONS**0.5
    LOG.info(
        "%s; %d seeds, luck %.0f: %+.2f (standard error %.2f), naive %+.2f, covered %.1f %%",
        *(way, seeds, luck, fmean(fitted), error, fmean(naive), 100 * covered),
    )
    assert abs(fmean(fitted)) < 2 * error
    assert fmean(naive) > 3 * stdev(naive) / REPETITIONS**0.5
    assert covered >= 0.93


def deltas(results):
    """[K, S, N] of each item, in points."""
    right = {
        (cell.intermediate, cell.seed): np.array([int(digit) for digit in languages["de"].right])
        for cell, languages in results.answers.items()
    }
    seeds = sorted({seed for _, seed in right})
    return np.array([[100 * (right[name, seed] - right["none", seed]) for seed in seeds] for name in NAMES])


def elsewhere(scores, seed):
    """Which of [K, S] is best in the other seeds."""
    return max(
        range(len(scores)),
        key=lambda place: round(
            fmean(score for other, score in enumerate(scores[place]) if other != seed), 9
        ),
    )


def test_the_items_of_a_half_choose_in_the_other_seeds_for_the_other_half():
    results = made(np.random.default_rng(5))
    of_items = deltas(results)
    draw, expected = np.random.default_rng(0), [[], [], []]
    for _ in range(SPLITS):
        first = np.sort((order := draw.permutation(ITEMS))[: ITEMS // 2])
        second = np.sort(order[ITEMS // 2 :])
        for half, rest in ((first, second), (second, first)):
            for seed in range(3):
                best = elsewhere(of_items[:, :, half].mean(axis=2).tolist(), seed)
                expected[seed].append(of_items[best, seed, rest].mean())
    [best] = best_of(Measured(results))
    assert best.delta.estimate == pytest.approx(fmean(fmean(of_seed) for of_seed in expected))
    assert sum(best.chosen.values()) == pytest.approx(3)


@pytest.mark.parametrize("way", [Selection.ENGLISH_DEV, Selection.OTHER_SEEDS])
def test_scores_choose_in_the_other_seeds_and_the_interval_is_wider_for_it(way):
    """Nadeau and Bengio: s² (1 / S + 1 / (S - 1)) in the place of s² / S."""
    results = made(np.random.default_rng(6), target="tatoeba", items=False, dev=way is Selection.ENGLISH_DEV)
    score = {(row.intermediate, row.seed): row.value for row in results.rows}
    scores = [[score[name, seed] - score["none", seed] for seed in (1, 2, 3)] for name in NAMES]
    chosen_on = scores
    if results.dev:
        dev = results.dev
        chosen_on = [[dev[Evaluation("base", name, "tatoeba", seed)] for seed in (1, 2, 3)] for name in NAMES]
    expected = [scores[elsewhere(chosen_on, seed)][seed] for seed in range(3)]
    [best] = best_of(Measured(results))
    assert best.selection == (way,)
    assert best.delta.estimate == pytest.approx(fmean(expected))
    reach = t.ppf(0.975, 2) * stdev(expected) * (1 / 3 + 1 / 2) ** 0.5
    assert best.delta.high - best.delta.estimate == pytest.approx(reach)
    assert best.delta.p_value > ttest_1samp(expected, 0).pvalue
    assert best.unselected == pytest.approx(max(fmean(of_name) for of_name in scores))


@pytest.mark.parametrize(
    ("changes", "way"), [({"dev": True}, Selection.OWN_ENGLISH_DEV), ({}, Selection.OWN_ITEM_HALVES)]
)
def test_with_one_seed_a_run_is_chosen_and_the_report_says_so(changes, way):
    measured = Measured(made(np.random.default_rng(7), seeds=(1,), **changes))
    [best] = best_of(measured)
    assert best.selection == (way,)
    assert (best.delta.covers_seeds, best.delta.covers_items) == (False, True)
    assert any("luck" in note for note in report_tables(measured)["best-of"].notes)
    several = Measured(made(np.random.default_rng(7), **changes))
    assert not any("luck" in note for note in report_tables(several)["best-of"].notes)


def test_one_seed_without_items_leaves_no_best_to_score():
    [best] = best_of(Measured(made(np.random.default_rng(8), seeds=(1,), items=False)))
    assert (best.selection, best.delta) == ((Selection.NONE,), None)
    assert best.unselected is not None


def test_the_naive_number_is_of_the_seeds_that_the_best_is_of():
    """Of results that are not all there yet: a difference between the two must not be one of seeds."""
    results = made(np.random.default_rng(9), items=False)
    rows = tuple(row for row in results.rows if (row.intermediate, row.seed) != ("f", 3))
    [best] = best_of(Measured(replace(results, rows=rows)))
    score = {(row.intermediate, row.seed): row.value for row in rows}
    by_name = [fmean(score[name, seed] - score["none", seed] for seed in (1, 2)) for name in NAMES]
    assert best.unselected == pytest.approx(max(by_name))
    rows = tuple(row for row in rows if row.intermediate != "f" or row.seed == 1)
    rows = tuple(row for row in rows if row.intermediate != "e" or row.seed == 2)
    [best] = best_of(Measured(replace(results, rows=rows)))
    assert (best.selection, best.delta, best.unselected) == ((Selection.NONE,), None, None)


def test_targets_with_other_seeds_have_no_mean_of_their_best():
    """A mean is over targets seed by seed: seeds 1 and 2 of one must not meet 2 and 3 of the other."""
    first, second = (
        made(np.random.default_rng(10), seeds=seeds, target=target, items=False)
        for target, seeds in (("own", (1, 2)), ("other", (2, 3)))
    )
    both = replace(first, targets={**first.targets, **second.targets}, rows=first.rows + second.rows)
    *_, mean = best_of(Measured(both))
    assert (mean.target, mean.targets, mean.delta) == (None, 2, None)
