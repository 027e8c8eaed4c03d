"""Intervals and tests of a contrast between models: the variance of seeds and that of test items, added.

Seeds and items are crossed, so neither a bootstrap of items alone nor one that nests items in seeds has the coverage it
names. Here the variance of a contrast is that of the seeds, each model's own, plus that of the clusters, which all models
share; the quantile is t's with Satterthwaite's degrees of freedom (1946; as in Welch 1947).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from xstilts.statistics.sample import Floats, Sample

CONFIDENCE = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Term:
    """One model's part in a contrast. An interaction delta(large) - delta(base) has two: +1 and -1."""

    weight: float
    sample: Sample


@dataclass(frozen=True)
class Interval:
    """An estimate with what is known of it.

    Attributes:
        estimate: the contrast.
        low, high: the ends of the interval.
        standard_error: of the estimate.
        degrees: of freedom of the quantile; infinite where nothing varies.
        p_value: two-sided, of the hypothesis that the contrast is 0.
        covers_seeds: False where a model has one or two seeds: then the interval covers the choice of test items only,
            which must be said beside it.
        covers_items: False where items are not known, or not of every test set. An interval that covers neither is
            infinitely wide, and its p-value is 1.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees: float
    p_value: float
    covers_seeds: bool
    covers_items: bool = True

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return self.covers_seeds or self.covers_items


def interval(terms: Sequence[Term], confidence: float = CONFIDENCE) -> Interval:
    """The contrast sum of weight x mean, with its interval.

    The seeds' part of the variance is the sum of weight² s² / S; the items' is P / (P - 1) times the sum of squares of
    the contrast's influence by cluster. Both hold, in expectation, the interaction of seeds and items, so its estimate is
    taken off the items' part, which is never made negative; and the variance is never less than the items' part alone, so
    that seeds which happen to lie close together do not make it too small.

    Raises:
        ValueError: there is no term, the samples have different clusters, or only one cluster.
    """
    estimate = float(sum(term.weight * term.sample.mean for term in terms))
    covers_seeds = all(term.sample.seed_variance is not None for term in terms)
    covers_items = all(term.sample.items_known for term in terms)
    parts = _parts(terms, _profile(terms))
    if not covers_seeds and not covers_items:
        return Interval(
            estimate=estimate,
            low=-inf,
            high=inf,
            standard_error=inf,
            degrees=inf,
            p_value=1.0,
            covers_seeds=False,
            covers_items=False,
        )
    variance = sum(part for part, _ in parts)
    degrees = _satterthwaite(parts)
    error = sqrt(variance)
    reach = _quantile((1 + confidence) / 2, degrees) * error
    return Interval(
        estimate=estimate,
        low=estimate - reach,
        high=estimate + reach,
        standard_error=error,
        degrees=degrees,
        p_value=_p_value(estimate, error, degrees),
        covers_seeds=covers_seeds,
        covers_items=covers_items,
    )


def smallest_detectable(of: Interval, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """The true contrast that a test at this level would find with this power, given the standard error that was seen.

    So many standard errors as t must be shifted by for its critical value to be exceeded with this power: the noncentrality
    of t (Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2). With infinitely many degrees of
    freedom they are the 2.8 of Bloom 1995, "Minimum detectable effects", Evaluation Review 19(5).
    """
    from scipy.special import nctdtrinc  # noqa: PLC0415 - as above

    critical = _quantile((1 + confidence) / 2, of.degrees)
    shift = critical + _quantile(power, inf)
    if of.degrees != inf:
        shift = float(nctdtrinc(of.degrees, 1 - power, critical))
    return shift * of.standard_error


def _parts(terms: Sequence[Term], profile: Floats) -> list[tuple[float, float]]:
    """Independent variances whose sum is that of the contrast, each with its degrees of freedom."""
    items = (0.0, 1.0)
    if len(profile):
        count = len(profile)
        items = (float(np.square(profile - profile.mean()).sum()) * count / (count - 1), float(count - 1))
    seeds = [
        (term.weight**2 * term.sample.seed_variance, float(term.sample.seeds - 1))
        for term in terms
        if term.sample.seed_variance is not None
    ]
    if len(seeds) < len(terms):
        return [items]
    in_both = sum(term.weight**2 * term.sample.interaction_variance for term in terms)
    crossed = [*seeds, (max(items[0] - in_both, 0.0), items[1])]
    return max(crossed, [items], key=lambda parts: sum(variance for variance, _ in parts))


def _profile(terms: Sequence[Term]) -> Floats:
    clusters = {term.sample.clusters for term in terms}
    if len(clusters) != 1:
        raise ValueError(
            f"the terms of a contrast must have the same clusters, had {sorted(clusters)} of them"
        )
    if clusters == {1}:
        raise ValueError("a contrast must have two clusters of test items or more, had one")
    return np.asarray(sum(term.weight * term.sample.profile for term in terms), dtype=np.float64)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom of a sum of independent variances, each with its own."""
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / degrees for variance, degrees in parts)
    return total**2 / below if below > 0 else inf


def _quantile(probability: float, degrees: float) -> float:
    """Of Student's t, or of the normal distribution, which it is with infinitely many degrees of freedom."""
    from scipy.special import ndtri, stdtrit  # noqa: PLC0415 - takes a while, and most commands do without

    return float(ndtri(probability) if degrees == inf else stdtrit(degrees, probability))


def _p_value(estimate: float, error: float, degrees: float) -> float:
    """Two-sided, by the same distribution."""
    from scipy.special import ndtr, stdtr  # noqa: PLC0415 - as above

    if error == 0:
        return 1.0 if estimate == 0 else 0.0
    ratio = abs(estimate) / error
    return float(2 * (ndtr(-ratio) if degrees == inf else stdtr(degrees, -ratio)))
