"""The crossed bootstrap: seeds and clusters of test items drawn anew, independently of each other.

One draw of clusters serves all seeds and models of a replicate, since they met the same test set; seeds are drawn for each
model. (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).) With few seeds it is too short, which
is why it stands beside the t interval and does not replace it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xstilts.statistics.contrast import CONFIDENCE, Term

BLOCK = 1_000  # replicates at once: bounds the memory to BLOCK x clusters numbers


def crossed_bootstrap(
    terms: Sequence[Term], *, replicates: int = 10_000, seed: int = 0, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The percentile interval of a contrast, from `replicates` draws; the same seed gives the same numbers.

    Raises:
        ValueError: the samples have different clusters.
    """
    clusters = {term.sample.clusters for term in terms}
    if len(clusters) != 1:
        raise ValueError(
            f"the terms of a contrast must have the same clusters, had {sorted(clusters)} of them"
        )
    (count,) = clusters
    draw = np.random.default_rng(seed)
    estimates = np.zeros(replicates)
    for start in range(0, replicates, BLOCK):
        size = min(BLOCK, replicates - start)
        drawn = draw.multinomial(count, np.full(count, 1 / count), size=size)  # [B, P] how often each
        for term in terms:
            seeds = term.sample.seeds
            chosen = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds  # [B, S]
            by_seed = term.sample.values + drawn @ term.sample.influence.T  # [B, S]
            estimates[start : start + size] += term.weight * (chosen * by_seed).sum(axis=1)
    low, high = np.quantile(estimates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
