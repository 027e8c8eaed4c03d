"""Statistics against statsmodels, scipy, plain loops, and truths that are known because they were made."""

from __future__ import annotations

import gc
import logging
import time
import tracemalloc
from dataclasses import replace
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, ttest_1samp, ttest_ind
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from xstilts.statistics import (
    LOG_ODDS,
    Sample,
    Term,
    benjamini_hochberg,
    crossed_bootstrap,
    crossed_bootstraps,
    holm,
    interval,
    mean_over_tests,
    mean_zero_shot,
    sample,
    smallest_detectable,
    transfer_gap,
)

LANGUAGES = ("en", "de", "sw")
LOG = logging.getLogger(__name__)  # what is said of simulations stands in docs/measurements.md


@pytest.mark.slow  # statsmodels collects garbage at every call
@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_are_those_of_statsmodels(p_values):
    for ours, method in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        assert ours(p_values) == pytest.approx(multipletests(p_values, method=method)[1])


def answers(draw, seeds=4, premises=30, languages=LANGUAGES, share=0.6):
    clusters = np.repeat(np.arange(premises), 3)
    right = {language: draw.random((seeds, 3 * premises)) < share for language in languages}
    return right, dict.fromkeys(languages, clusters)


def test_measures_are_weighted_accuracies():
    right, clusters = answers(np.random.default_rng(0))
    percent = {language: 100 * right[language].mean(axis=1) for language in LANGUAGES}
    others = (percent["de"] + percent["sw"]) / 2
    assert sample(right, clusters, mean_zero_shot(LANGUAGES)).values == pytest.approx(others)
    assert sample(right, clusters, transfer_gap(LANGUAGES)).values == pytest.approx(percent["en"] - others)


def test_the_influence_of_a_cluster_is_what_it_adds():
    """In points the measure with one cluster counted twice is, to first order, the measure plus its influence."""
    right, clusters = answers(np.random.default_rng(1))
    made = sample(right, clusters, transfer_gap(LANGUAGES))
    assert made.influence.sum(axis=1) == pytest.approx(np.zeros(4), abs=1e-9)
    doubled = {name: np.concatenate([of, of[:, :3]], axis=1) for name, of in right.items()}
    ids = {name: np.concatenate([of, of[:3]]) for name, of in clusters.items()}
    again = sample(doubled, ids, transfer_gap(LANGUAGES))
    assert again.values - made.values == pytest.approx(made.influence[:, 0] * 90 / 93)


def test_log_odds_are_defined_where_all_is_right():
    right = {"en": np.ones((3, 6), dtype=bool), "de": np.arange(18).reshape(3, 6) % 2 == 0}
    clusters = dict.fromkeys(right, np.repeat([0, 1], 3))
    made = sample(right, clusters, {"en": 1.0}, LOG_ODDS)
    assert made.values == pytest.approx(np.full(3, log(6.5 / 0.5)))
    assert np.isfinite(sample(right, clusters, transfer_gap(("en", "de")), LOG_ODDS).influence).all()


def test_without_items_the_interval_is_welchs():
    """Satterthwaite's degrees: with no variance between clusters all that is left is Welch's t test."""
    large, base = np.array([3.0, 5.0, 4.5, 6.0]), np.array([1.0, 2.5, 0.5])
    terms = [
        Term(1, Sample(large, np.zeros((4, 9)))),
        Term(-1, Sample(base, np.zeros((3, 9)))),
    ]
    expected = ttest_ind(large, base, equal_var=False)
    ours = interval(terms)
    assert ours.p_value == pytest.approx(expected.pvalue)
    assert (ours.low, ours.high) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("level", [0.05, 0.05 / 4])
@pytest.mark.parametrize("seeds", [3, 5, 30])
def test_the_smallest_detectable_contrast_is_found_four_times_in_five(seeds, level):
    """By the test itself, on 4,000 samples of trainings that spread by a point around it; 3.2 standard errors are allowed."""
    draw = np.random.default_rng(seeds)
    seen = replace(
        interval([Term(1, Sample.of_scores(draw.normal(0, 1, seeds)))]), standard_error=1 / np.sqrt(seeds)
    )
    values = draw.normal(smallest_detectable(seen, 1 - level), 1, (4_000, seeds))
    found = [interval([Term(1, Sample.of_scores(one))]).p_value < level for one in values]
    assert np.mean(found) == pytest.approx(0.8, abs=0.02)


def test_with_many_degrees_of_freedom_it_is_the_published_multiple():
    """Bloom 1995: 2.80 standard errors for a two-sided 0.05 and 80 % power."""
    items = replace(interval([Term(1, Sample(np.zeros(1), np.array([[0.5, -0.5]])))]), degrees=inf)
    assert smallest_detectable(items) / items.standard_error == pytest.approx(2.80, abs=0.005)
    nearly = replace(items, degrees=1e6)
    assert smallest_detectable(nearly) == pytest.approx(smallest_detectable(items), rel=1e-4)


def test_with_two_seeds_only_items_are_covered_and_it_says_so():
    right, clusters = answers(np.random.default_rng(2), seeds=2)
    made = sample(right, clusters, mean_zero_shot(LANGUAGES))
    ours = interval([Term(1, made)])
    shares = made.profile
    assert not ours.covers_seeds
    assert ours.degrees == pytest.approx(len(shares) - 1)
    assert ours.standard_error == pytest.approx(np.sqrt(len(shares)) * shares.std(ddof=1))


def test_a_constant_is_certain():
    same = Sample(np.full(3, 2.0), np.zeros((3, 5)))
    ours = interval([Term(1, same)])
    assert (ours.low, ours.high, ours.p_value) == (2.0, 2.0, 0.0)
    assert interval([Term(1, same), Term(-1, same)]).p_value == 1.0


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ([], "same clusters"),
        (
            [Term(1, Sample(np.zeros(3), np.zeros((3, 4)))), Term(1, Sample(np.zeros(3), np.zeros((3, 5))))],
            "same",
        ),
        ([Term(1, Sample(np.zeros(3), np.zeros((3, 1))))], "two clusters"),
    ],
)
def test_what_is_no_contrast_is_refused(terms, sentence):
    with pytest.raises(ValueError, match=sentence):
        interval(terms)


def test_unpaired_samples_are_not_subtracted():
    with pytest.raises(ValueError, match="same seeds"):
        Sample(np.zeros(3), np.zeros((3, 4))) - Sample(np.zeros(2), np.zeros((2, 4)))


def test_the_crossed_bootstrap_is_the_plain_loop():
    """One draw of clusters for all, seeds for each model: replicate by replicate, with the same draws."""
    draw = np.random.default_rng(3)
    samples = [sample(*answers(draw, seeds=seeds), mean_zero_shot(LANGUAGES)) for seeds in (4, 3)]
    terms = [Term(1, samples[0]), Term(-1, samples[1])]
    items, seeds = np.random.default_rng([7, 0]), np.random.default_rng([7, 1])
    drawn = items.integers(0, 30, size=(500, 30))
    chosen = [seeds.integers(0, n, size=(500, n)) for n in (4, 3)]
    estimates = [
        sum(
            term.weight
            * np.mean(
                [one.values[s] + sum(one.influence[s, p] for p in drawn[b]) for s in chosen[k][b]],
            )
            for k, (term, one) in enumerate(zip(terms, samples, strict=True))
        )
        for b in range(500)
    ]
    ours = crossed_bootstrap(terms, replicates=500, seed=7)
    assert ours == pytest.approx(tuple(np.quantile(estimates, [0.025, 0.975])))
    assert crossed_bootstraps([terms, terms[:1]], replicates=500, seed=7)[0] == ours


def test_the_variance_of_the_crossed_bootstrap_counts_the_interaction_three_times():
    """Once with the seeds, once with the clusters, once on its own, where `interval` takes it off once."""
    right, clusters = answers(np.random.default_rng(12), seeds=6, premises=200)
    made = sample(right, clusters, mean_zero_shot(LANGUAGES))
    items = made.clusters * float(np.var(made.profile))
    expected = 5 / 6 * (made.seed_variance + made.interaction_variance * 199 / 200) + items
    low, high = crossed_bootstrap([Term(1, made)], replicates=20_000)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(expected), rel=0.02)


def test_the_bootstrap_of_one_seed_is_scipys_of_the_items():
    """With one seed only items vary: then any bootstrap of them will do as a peer."""
    right = (np.random.default_rng(4).random((1, 300)) < 0.7).astype(bool)
    made = sample({"de": right}, {"de": np.arange(300)}, {"de": 1.0})
    peer = bootstrap(
        (100 * right[0],), np.mean, n_resamples=9_999, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert crossed_bootstrap([Term(1, made)]) == pytest.approx((peer.low, peer.high), abs=0.4)


def test_scores_without_items_are_covered_for_seeds_alone_and_it_says_so():
    values = [3.0, 5.0, 4.5]
    made = Sample.of_scores(values)
    ours = interval([Term(1, made)])
    assert (ours.covers_seeds, ours.covers_items) == (True, False)
    peer = ttest_1samp(values, 0)
    assert ours.p_value == pytest.approx(peer.pvalue)
    assert (ours.low, ours.high) == pytest.approx(tuple(peer.confidence_interval()))
    alone = interval([Term(1, Sample.of_scores([3.0]))])
    assert not alone.known
    assert (alone.low, alone.high, alone.p_value) == (-inf, inf, 1.0)


def test_a_mean_over_test_sets_adds_the_variances_of_their_items():
    draw = np.random.default_rng(5)
    parts = [sample(*answers(draw, seeds=2, premises=count), {"de": 1.0}) for count in (30, 40)]
    both = mean_over_tests(parts)
    assert both.values == pytest.approx((parts[0].values + parts[1].values) / 2)
    errors = [interval([Term(1, one)]).standard_error for one in parts]
    expected = np.hypot(errors[0], errors[1]) / 2
    assert interval([Term(1, both)]).standard_error == pytest.approx(expected, rel=0.02)
    partly = mean_over_tests([parts[0], Sample.of_scores([1.0, 2.0])])
    assert not partly.items_known
    with pytest.raises(ValueError, match="same seeds"):
        mean_over_tests([parts[0], Sample.of_scores([1.0])])


def test_ten_thousand_draws_of_a_whole_xnli_take_seconds_and_little_memory():
    """15 languages x 5,010 items x 5 seeds, two models: 30 s on two cores are allowed, of processor time far less."""
    draw = np.random.default_rng(6)
    languages = ["en", *(f"l{number}" for number in range(14))]
    clusters = dict.fromkeys(languages, np.repeat(np.arange(1_670), 3))
    gc.collect()
    tracemalloc.start()
    began = time.process_time()
    samples = [
        sample(
            {language: draw.random((5, 5_010), dtype=np.float32) < 0.7 for language in languages},
            clusters,
            weights,
        )
        for weights in (mean_zero_shot(languages), transfer_gap(languages))
        for _ in range(2)
    ]
    contrasts = [
        [Term(1, samples[0]), Term(-1, samples[1])],
        [Term(1, samples[2]), Term(-1, samples[3])],
    ]
    assert all(low < high for low, high in crossed_bootstraps(contrasts))
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    LOG.info("%.1f s of processor time, %.0f MiB at most", seconds, peak / 2**20)
    assert seconds < 30
    assert peak < 100 * 2**20


SCENARIOS = {  # standard deviations, in log-odds: of seeds, of what the intermediate does to a premise, of single answers
    "all three": (0.35, 0.2, 0.3),
    "seeds": (0.8, 0.2, 0.3),
    "premises": (0.02, 1.0, 0.1),
    "neither": (0.0, 0.0, 1.5),
}


def simulated(draw, seeds, delta, spread, premises=120):
    """A model's deltas: seeds and premises random and crossed, three items a premise, two languages."""
    of_seeds, of_premises, of_answers = spread
    clusters = np.repeat(np.arange(premises), 3)
    hard = np.repeat(draw.normal(0, 1, premises), 3)
    gain = delta + np.repeat(draw.normal(0, of_premises, premises), 3)
    made = []
    for shift in (0.0, gain):
        noise = draw.normal(0, of_answers, (seeds, len(clusters)))
        chance = 1 / (1 + np.exp(-(hard + shift + draw.normal(0, of_seeds, (seeds, 1)) + noise)))
        right = {language: draw.random(chance.shape) < chance for language in ("de", "sw")}
        made.append(sample(right, dict.fromkeys(right, clusters), mean_zero_shot(("de", "sw"))))
    return made[1] - made[0]


def truth(delta, spread):
    """The expected difference in points, over seeds, premises and items: by quadrature."""
    of_seeds, of_premises, of_answers = spread
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    base = 1 + of_seeds**2 + of_answers**2

    def share(mean, variance):
        return float(weights @ (1 / (1 + np.exp(-(mean + np.sqrt(variance) * nodes))))) / weights.sum()

    return 100 * (share(delta, base + of_premises**2) - share(0, base))


def interactions(scenario, seeds, count):
    """So many times the contrast of two models, and its true value."""
    spread = SCENARIOS[scenario]
    draw = np.random.default_rng(seeds)
    known = truth(0.5, spread) - truth(0.3, spread)
    for _ in range(count):
        large, base = simulated(draw, seeds, 0.5, spread), simulated(draw, seeds, 0.3, spread)
        yield [Term(1, large), Term(-1, base)], known


@pytest.mark.parametrize(("seeds", "most"), [(3, 1.0), (5, 0.98)])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_intervals_cover_known_truths(scenario, seeds, most):
    """The interaction of two models whose true deltas are known, 1,500 times, whatever it is that varies most."""
    covered: dict[bool, list[bool]] = {False: [], True: []}  # by whether the items' part alone was the larger
    for terms, known in interactions(scenario, seeds, 1_500):
        one = interval(terms)
        covered[round(one.degrees) == 119].append(one.low <= known <= one.high)
    share = np.mean(covered[False] + covered[True])
    LOG.info("%s, %d seeds: covered %.1f %%", scenario, seeds, 100 * share)
    assert 0.93 <= share <= most
    if len(covered[True]) > 500:
        LOG.info(
            "  of items alone in %d of 1,500: covered %.1f %%",
            len(covered[True]),
            100 * np.mean(covered[True]),
        )
        assert np.mean(covered[True]) >= 0.93


@pytest.mark.parametrize(
    ("scenario", "wider", "least", "most"), [("seeds", 0.0, 0.75, 0.9), ("neither", 0.5, 0.97, 1.0)]
)
def test_the_bootstrap_is_too_short_where_seeds_vary_most_and_too_wide_where_answers_do(
    scenario, wider, least, most
):
    """With three seeds, which is why t decides: 300 times, and how often it is the wider of the two."""
    found = []
    for terms, known in interactions(scenario, 3, 300):
        one, (low, high) = interval(terms), crossed_bootstrap(terms, replicates=500)
        found.append((low <= known <= high, high - low > one.high - one.low))
    covered, is_wider = np.mean(found, axis=0)
    LOG.info(
        "%s, 3 seeds: bootstrap covers %.1f %%, is wider in %.0f %%", scenario, 100 * covered, 100 * is_wider
    )
    assert least <= covered <= most
    assert is_wider == 0 if wider == 0 else is_wider > wider


@pytest.mark.parametrize("premises", [8, 120])
@pytest.mark.parametrize("seeds", [1, 2])
def test_with_one_or_two_seeds_items_are_covered_given_the_trainings(seeds, premises):
    """Then the truth is that of these very trainings on all items that might have been asked, be they ever so few."""
    draw = np.random.default_rng(seeds)
    covered = 0
    for _ in range(1_500):
        shares = draw.uniform(0.5, 0.8, (2, seeds, 1))
        right = [{"de": draw.random((seeds, 3 * premises)) < share} for share in shares]
        clusters = {"de": np.repeat(np.arange(premises), 3)}
        base, large = (sample(of, clusters, {"de": 1.0}) for of in right)
        one = interval([Term(1, large - base)])
        assert not one.covers_seeds
        covered += one.low <= 100 * float(np.mean(shares[1] - shares[0])) <= one.high
    assert 0.93 <= covered / 1_500 <= 0.98


def test_the_interaction_variance_is_that_of_a_two_way_layout_without_replication():
    """Of statsmodels' regressions on the seeds and on the clusters: mean squares over the number of cells."""
    values = np.random.default_rng(11).normal(0, 1, (4, 9))  # [S, P], each cluster's contribution
    made = Sample(values.mean(axis=1), (values - values.mean(axis=1, keepdims=True)) / 9)
    seeds, clusters = (
        np.eye(count)[of.ravel()] for count, of in zip((4, 9), np.indices(values.shape), strict=True)
    )
    both = np.hstack([seeds, clusters[:, 1:]])
    residual = OLS(values.ravel(), both).fit()
    without = {
        name: OLS(values.ravel(), of).fit().ssr for name, of in (("seeds", clusters), ("clusters", seeds))
    }
    assert made.interaction_variance == pytest.approx(residual.mse_resid / 36)
    assert made.seed_variance == pytest.approx((without["seeds"] - residual.ssr) / 3 / 36)
    items = (without["clusters"] - residual.ssr) / 8 / 36
    expected = max(made.seed_variance + max(items - made.interaction_variance, 0), items)
    assert interval([Term(1, made)]).standard_error ** 2 == pytest.approx(expected)
