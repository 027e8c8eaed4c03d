"""What was measured of one model: a number a seed, and what each cluster of test items contributes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """A measure of one model over its seeds on one test set.

    Seeds are a sample of the trainings that might have been, clusters (XNLI's premises, each with three items in every
    language) one of the test items; every seed meets the same clusters, so the two are crossed.

    Attributes:
        values: [S] the measure in each seed.
        influence: [S, P] by how much the measure of a seed departs from its value on account of each cluster; every row
            sums to 0. For a mean over items that is the cluster's share of it less the share of an average cluster.
            [S, 0] where nothing is known of the items.
        items_known: whether all of the measure's items are in `influence`; False where some target of a mean has none.
        cross_fitted: whether what is measured in a seed was chosen in the other seeds, so that two seeds, each of which has
            had a part in the choice for the other, are not independent.
    """

    values: Floats
    influence: Floats
    items_known: bool = True
    cross_fitted: bool = False

    @classmethod
    def of_scores(cls, values: Sequence[float]) -> Sample:
        """A measure of which only the scores are known, one a seed: F1 of whole test sets, say."""
        return cls(np.asarray(values, dtype=np.float64), np.zeros((len(values), 0)), items_known=False)

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.influence.shape[:1] != self.values.shape or not self.values.size:
            raise ValueError(
                "a sample must have a value and a row of influences for each of one or more seeds, had values "
                f"{self.values.shape} and influences {self.influence.shape}"
            )

    @property
    def seeds(self) -> int:
        """S."""
        return len(self.values)

    @property
    def clusters(self) -> int:
        """P."""
        return int(self.influence.shape[1])

    @cached_property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean())

    @cached_property
    def profile(self) -> Floats:
        """[P] the mean influence of each cluster over the seeds."""
        return np.asarray(self.influence.mean(axis=0), dtype=np.float64)

    @cached_property
    def seed_variance(self) -> float | None:
        """The variance of the mean on account of the seeds; None with fewer than three, which say too little of it.

        s² / S of independent seeds, s² (1 / S + 1 / (S - 1)) of cross-fitted ones: what Nadeau and Bengio 2003 ("Inference for
        the generalization error", Machine Learning 52, 239-281) add for folds that chose on each other, the size of what is
        scored on over that of what is chosen on. No estimate is without bias there (Bengio and Grandvalet 2004, JMLR 5).
        """
        if self.seeds < 3:
            return None
        shares = 1 / self.seeds + (1 / (self.seeds - 1) if self.cross_fitted else 0)
        return float(self.values.var(ddof=1)) * shares

    @cached_property
    def interaction_variance(self) -> float:
        """The variance of the mean on account of what seed and cluster do together, estimated from the residuals.

        P / ((P - 1) S (S - 1)) times the sum of squares of the influences less each cluster's mean: the mean square of the
        interaction in a two-way layout without replication, divided by S P (Searle, Casella, McCulloch 1992, chapter 4).
        0 with one seed or no clusters, which do not tell it from the variance of the clusters.
        """
        if self.seeds < 2 or self.clusters < 2:
            return 0.0
        residuals = self.influence - self.profile
        factor = self.clusters / ((self.clusters - 1) * self.seeds * (self.seeds - 1))
        return factor * float(np.square(residuals).sum())

    def of_seeds(self, places: Sequence[int]) -> Sample:
        """The same measure in some of the seeds, by their places."""
        return replace(self, values=self.values[places], influence=self.influence[places])

    def __sub__(self, other: Sample) -> Sample:
        """The difference, seed by seed: both must have the same seeds and clusters, in the same order."""
        if self.influence.shape != other.influence.shape:
            raise ValueError(
                f"samples must have the same seeds and clusters to be paired, had {self.influence.shape} and "
                f"{other.influence.shape}"
            )
        return Sample(
            self.values - other.values,
            self.influence - other.influence,
            items_known=self.items_known and other.items_known,
            cross_fitted=self.cross_fitted or other.cross_fitted,
        )


def mean_over_tests(samples: Sequence[Sample]) -> Sample:
    """The mean of one model's measures on several test sets, whose items are independent of each other's.

    Seed s is the same in all of them: what the trainings of one seed share, such as the intermediate model, is kept.

    Raises:
        ValueError: none, or other numbers of seeds.
    """
    if len({one.seeds for one in samples}) != 1:
        raise ValueError(
            f"samples must have the same seeds to be averaged, had {[one.seeds for one in samples]} of them"
        )
    return Sample(
        np.mean([one.values for one in samples], axis=0),
        np.concatenate([one.influence for one in samples], axis=1) / len(samples),
        items_known=all(one.items_known for one in samples),
        cross_fitted=any(one.cross_fitted for one in samples),
    )
