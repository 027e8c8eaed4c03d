"""The crossed bootstrap: seeds and clusters of test items drawn anew, independently of each other.

One draw of clusters serves all seeds, models, intermediates and languages of a replicate, since they met the same test set;
seeds are drawn for each term. (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).)

It stands beside the t interval and does not replace it. The variance over its draws is, with the parts that `Sample` and
`interval` estimate and P clusters, (S - 1) / S (seeds + interaction) + (P - 1) / P clusters, to a factor of (P - 1) / P in the
interaction. Each of these parts holds the interaction once, so it counts up to three times, where t counts it once: that is
too wide where single answers vary most (Owen and Eckles 2012, "Bootstrapping data arrays of arbitrary order", Annals of Applied
Statistics 6(3), call it mildly conservative). Of the seeds it has (S - 1) / S, and no wider quantile for their fewness: too
short where they vary most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xstilts.statistics.contrast import CONFIDENCE, Term

BLOCK = 500  # replicates at once: bounds the memory to BLOCK x clusters numbers


def crossed_bootstrap(
    terms: Sequence[Term], *, replicates: int = 10_000, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The percentile interval of one contrast: see `crossed_bootstraps`."""
    [found] = crossed_bootstraps([terms], replicates=replicates, seed=seed, confidence=confidence)
    return found


def crossed_bootstraps(
    contrasts: Sequence[Sequence[Term]],
    *,
    replicates: int = 10_000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> list[tuple[float, float]]:
    """The percentile intervals of contrasts on one test set, from `replicates` draws; the same seed gives the same numbers.

    The clusters that a replicate draws are the same for all contrasts. Time goes with replicates x clusters, memory with
    BLOCK x clusters plus a number a replicate and contrast.

    Raises:
        ValueError: the samples have different clusters.
    """
    clusters = {term.sample.clusters for terms in contrasts for term in terms}
    if not contrasts:
        return []
    if len(clusters) != 1:
        raise ValueError(
            f"the terms of a contrast must have the same clusters, had {sorted(clusters)} of them"
        )
    (count,) = clusters
    items, seeds = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    estimates = np.zeros((len(contrasts), replicates))
    for start in range(0, replicates, BLOCK):
        size = min(BLOCK, replicates - start)
        drawn = _drawn(items, count, size)
        for index, terms in enumerate(contrasts):
            for term in terms:
                chosen = _drawn(seeds, term.sample.seeds, size) / term.sample.seeds  # [B, S]
                by_seed = term.sample.values + drawn @ term.sample.influence.T  # [B, S]
                estimates[index, start : start + size] += term.weight * (chosen * by_seed).sum(axis=1)
    ends = np.quantile(estimates, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return [(float(low), float(high)) for low, high in ends.T]


def _drawn(draw: np.random.Generator, count: int, size: int) -> npt.NDArray[np.float64]:
    """[B, N] how often each of N things is drawn when N are drawn with replacement."""
    rows = draw.integers(0, max(count, 1), size=(size, count))
    return np.stack([np.bincount(row, minlength=count) for row in rows]).astype(np.float64)
