"""From right and wrong answers to a measure of one model: weights over languages, in points or as log-odds.

The measures are Hu et al. 2020's (arXiv 2003.11080): the mean over the languages other than English, and the transfer
gap, English less that mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from xstilts.statistics.sample import Floats, Sample

Weights = Mapping[str, float]  # language -> its weight in the measure
Answers = Mapping[
    str, npt.NDArray[np.bool_]
]  # language -> [S, N] whether a seed's answer to an item is right


class Scale(StrEnum):
    """What an accuracy is turned into before languages are weighted."""

    POINTS = "points"  # percent
    LOG_ODDS = "log-odds"  # log(p / (1 - p)): differences do not shrink towards a ceiling


POINTS, LOG_ODDS = Scale.POINTS, Scale.LOG_ODDS


def mean_zero_shot(languages: Sequence[str], english: str = "en") -> Weights:
    """The mean over the languages other than English.

    Raises:
        ValueError: there is none.
    """
    others = [language for language in languages if language != english]
    if not others:
        raise ValueError(
            f"a zero-shot mean must have a language other than {english!r}, had {list(languages)}"
        )
    return dict.fromkeys(others, 1 / len(others))


def transfer_gap(languages: Sequence[str], english: str = "en") -> Weights:
    """English less the mean over the others.

    Raises:
        ValueError: English, or any other, is missing.
    """
    if english not in languages:
        raise ValueError(f"a transfer gap must have {english!r} among the languages, had {list(languages)}")
    return {english: 1.0, **{name: -weight for name, weight in mean_zero_shot(languages, english).items()}}


def sample(
    answers: Answers,
    clusters: Mapping[str, npt.NDArray[np.integer]],
    weights: Weights,
    scale: Scale = POINTS,
) -> Sample:
    """The measure of one model in every seed, and each cluster's influence on it.

    With accuracy p and items i of a language, the influence of a cluster c is sum over its items of (x_i - p) / N, times
    the derivative of the scale at p and the language's weight: the linear term of the measure as a function of the items
    (the infinitesimal jackknife; exact in points). An accuracy of 0 or 1 has no log-odds: half an answer is added to the
    right and to the wrong ones (Haldane 1956, Anscombe 1956), in every language.

    Args:
        answers: language -> [S, N] right or wrong; S is the same in all of them.
        clusters: language -> [N] the number of the cluster, from 0, of each item; the same numbers in all languages.
        weights: language -> its weight; every one must have answers.
        scale: points (percent) or log-odds.

    Raises:
        ValueError: a language has no answers, or not one cluster an item.
    """
    missing = [language for language in weights if language not in answers]
    if missing:
        raise ValueError(f"answers must be there in every language that is weighted, are not in {missing}")
    count = 1 + max(int(np.max(clusters[language])) for language in weights)
    seeds = len(answers[next(iter(weights))])
    values, influence = np.zeros(seeds), np.zeros((seeds, count))
    for language, weight in weights.items():
        right = np.asarray(answers[language], dtype=np.float64)
        of_items = np.asarray(clusters[language])
        if right.ndim != 2 or right.shape != (seeds, len(of_items)):
            raise ValueError(
                f"answers in {language!r} must be [{seeds} seeds, {len(of_items)} items], were {right.shape}"
            )
        value, slope = _scaled(right, scale)
        values += weight * value
        departures = (right - right.mean(axis=1, keepdims=True)) / right.shape[1]
        influence += weight * slope[:, None] * _by_cluster(departures, of_items, count)
    return Sample(values, influence)


def _scaled(right: Floats, scale: Scale) -> tuple[Floats, Floats]:
    """[S] the accuracy on its scale, and the scale's derivative there."""
    if scale is Scale.POINTS:
        return 100 * right.mean(axis=1), np.full(len(right), 100.0)
    items = right.shape[1]
    share = (right.sum(axis=1) + 0.5) / (items + 1)
    return np.log(share / (1 - share)), items / ((items + 1) * share * (1 - share))


def _by_cluster(values: Floats, clusters: npt.NDArray[np.integer], count: int) -> Floats:
    """[S, N] -> [S, P]: the sums over each cluster's items."""
    return np.stack([np.bincount(clusters, weights=row, minlength=count) for row in values])
