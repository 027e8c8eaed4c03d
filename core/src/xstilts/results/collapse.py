"""Trainings that have come to nothing: evaluations that are no better than a blind guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from statistics import fmean
from typing import Final

from xstilts.catalogue import ENGLISH
from xstilts.results.main import Names, Seed, scores_by_cell
from xstilts.results.rows import Evaluation, Results
from xstilts.results.words import plural

CHANCE_QUANTILE: Final = 3.09  # of the normal distribution at 0.999: see `collapsed`
CHANCE_MARGIN: Final = 2.0  # points above chance that are still chance, where items are not counted
COLLAPSED_MEANING: Final = "seeds that are no better than a blind guess in English"
_NAMED = 8  # so many are named; the others are counted


def collapsed(
    results: Results, scores: Mapping[Names, Mapping[Seed, Mapping[str, float]]] | None = None
) -> tuple[Evaluation, ...]:
    """The evaluations that are no better than a blind guess in English, or over all languages where it is not scored.

    No better: not above chance by 3.09 standard errors of a guess, or by 2 points where the number of items is not known.
    3.09 is the standard normal quantile of 0.999, in the one-sided test of a proportion (p - c) / sqrt(c (1 - c) / N)
    (NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.4): of blind guesses 1 in 1,000 passes for better, so few
    that an experiment of some hundred evaluations hardly has one. Only where chance is defined.

    Args:
        results: of an experiment.
        scores: its scores by cell, where the caller has them already.
    """
    return tuple(
        cell
        for (model, intermediate, target), seeds in (scores or scores_by_cell(results)).items()
        for seed, languages in seeds.items()
        if _is_collapsed(results, cell := Evaluation(model, intermediate, target, seed), languages)
    )


def collapse_notes(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Which trainings have come to nothing; they stay in every number that does not say otherwise."""
    if evaluations:
        named = "; ".join(map(str, evaluations[:_NAMED]))
        more = "; …" if len(evaluations) > _NAMED else ""
        are = "is" if len(evaluations) == 1 else "are"
        yield (
            f"Collapsed: {plural(len(evaluations), 'evaluation')} {are} no better in English than a blind guess "
            f"({named}{more}). Numbers include collapsed seeds unless they say otherwise."
        )


def _is_collapsed(results: Results, cell: Evaluation, scores: Mapping[str, float]) -> bool:
    chance = results.chance.get(cell.target, {})
    asked = [ENGLISH] if ENGLISH in scores else sorted(scores)
    if cell.target in results.untrained or not set(asked) <= chance.keys():
        return False  # what nothing is trained for cannot collapse
    guess = fmean(chance[language] for language in asked)
    answers = results.answers.get(cell, {})
    margin = CHANCE_MARGIN
    if ENGLISH in answers:
        margin = CHANCE_QUANTILE * sqrt(guess * (100 - guess) / len(answers[ENGLISH].right))
    return fmean(scores[language] for language in asked) <= guess + margin
