"""The primary answer of an experiment, as its file fixes it before a run (`spec.analysis`).

With two models it is the interaction, delta(second) - delta(first): what an intermediate does to a measure of the second model
less what it does to that of the first. Every further model is held against the first likewise; with one model it is the delta itself. A
delta is taken seed by seed against `none`. Statistics: see `xstilts.statistics`.

It is given over all cells; again without the cells whose intermediate has seen the target's own training rows, or labels in
the language; and, where trainings have collapsed, again without their seeds. The first is the answer, the others show what it
rests on; each is corrected on its own.

What is corrected over is fixed by the file and is not what has been scored so far: a contrast whose scores are to come counts
with a p-value of 1, so that an answer over partial results is not surer than it may be. This family is, of the first and the
third, every contrast that is asked of the target, and of the second those that have cells without a relation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from math import inf
from typing import Final

from xstilts.catalogue import ENGLISH
from xstilts.results.main import LEVEL
from xstilts.results.measured import Measured
from xstilts.results.rows import Evaluation, Results
from xstilts.spec import Analysis
from xstilts.spec.fields import BASELINE
from xstilts.statistics import (
    LOG_ODDS,
    POINTS,
    Interval,
    Scale,
    Term,
    Weights,
    benjamini_hochberg,
    crossed_bootstraps,
    holm,
    interval,
    mean_zero_shot,
    smallest_detectable,
    transfer_gap,
)

CORRECTIONS: Final[Mapping[str, Callable[[Sequence[float]], list[float]]]] = {
    "Holm": holm,
    "BH": benjamini_hochberg,
}


class Cells(StrEnum):
    """Over which cells an answer is."""

    ALL = "all"
    UNRELATED = "without in-task, overlap and seen languages"
    LEARNED = "without collapsed seeds"


@dataclass(frozen=True)
class PrimaryRow:
    """One contrast.

    Attributes:
        target, intermediate, measure: what is asked.
        model, reference: delta(model) - delta(reference); no reference with one model, where it is delta(model).
        points, log_odds: on the two scales; the p-value is that of points. Scores that are no shares of right answers, such
            as F1, have no log-odds.
        bootstrap: the crossed bootstrap's interval beside that of points; None where no items are known.
        adjusted: the p-value of points, corrected over the family of the target and the same cells.
        detectable: the smallest true contrast, in points, that would have been found with 80 % power, were it the only one: at
            the correction's first step. Infinite where an interval does not cover seeds: then none is found.
        seeds: of each model.
        deltas: of each model, in points.
        cells: over which the contrast is.
        languages: how many the measure is made of.
    """

    target: str
    intermediate: str
    measure: str
    model: str
    reference: str | None
    points: Interval
    log_odds: Interval | None
    bootstrap: tuple[float, float] | None
    adjusted: float
    detectable: float
    seeds: tuple[int, ...]
    deltas: tuple[float, ...]
    cells: Cells
    languages: int


@dataclass(frozen=True)
class Unanswered:
    """A contrast that was asked for and cannot be given, and why."""

    target: str
    intermediate: str
    measure: str
    model: str
    reference: str | None
    reason: str


@dataclass(frozen=True)
class _Contrast:
    """What a row is made of, or `lacks` to be one; no weights where the target's languages do not have the measure."""

    target: str
    intermediate: str
    measure: str
    model: str
    reference: str | None
    weights: Weights
    lacks: str = ""
    left_out: frozenset[Evaluation] = frozenset()

    @property
    def models(self) -> tuple[str, ...]:
        return (self.model,) if self.reference is None else (self.model, self.reference)


def primary(results: Results, analysis: Analysis) -> list[PrimaryRow]:
    """All contrasts that the store allows: by cells, then target, model, intermediate, measure.

    A model without `none` has none. Only the languages that every evaluation of the target has been scored in are taken.
    """
    measured = Measured(results)
    rows: list[PrimaryRow] = []
    for target in measured.targets:
        asked = [one for one in _asked(measured, target, analysis) if one.weights]
        for cells, family in (
            (Cells.ALL, asked),
            (Cells.UNRELATED, _unrelated(measured, target, asked)),
            (Cells.LEARNED, _learned(measured, asked)),
        ):
            of_cells = _rows(measured, cells, family)
            to_come = len(family) - len(of_cells)
            p_values = [row.points.p_value for row in of_cells] + [1.0] * to_come
            adjusted = CORRECTIONS[analysis.correction](p_values)
            rows += [replace(row, adjusted=value) for row, value in zip(of_cells, adjusted, strict=False)]
    order = list(Cells)
    return sorted(rows, key=lambda row: order.index(row.cells))


def unanswered(results: Results, analysis: Analysis) -> list[Unanswered]:
    """The contrasts that were asked for and have no row."""
    measured = Measured(results)
    return [
        Unanswered(one.target, one.intermediate, one.measure, one.model, one.reference, one.lacks)
        for target in results.targets
        for one in _asked(measured, target, analysis)
        if one.lacks
    ]


def _asked(measured: Measured, target: str, analysis: Analysis) -> Iterator[_Contrast]:
    results = measured.results
    if BASELINE not in results.intermediates:
        return
    first, *others = results.models
    pairs: list[tuple[str, str | None]] = [(model, first) for model in others] or [(first, None)]
    intermediates = [name for name in results.intermediates if name != BASELINE]
    languages = measured.languages(target)
    for (model, reference), intermediate, measure in product(pairs, intermediates, analysis.primary):
        weights = _weights(measured, target, measure, languages) or {}
        one = _Contrast(target, intermediate, measure, model, reference, weights)
        lacks = _lacks(measured, one)
        if not weights and not lacks:
            lacks = _lacks_languages(languages)
        yield replace(one, lacks=lacks)


def _lacks_languages(languages: Sequence[str]) -> str:
    """Why a target that is scored does not have a measure."""
    if not languages:
        return "the target's evaluations have no language in common"
    if not set(languages) - {ENGLISH}:
        return "the target is not scored in a language other than English"
    return "the target is not scored in English"


def _lacks(measured: Measured, one: _Contrast) -> str:
    """Which scores a contrast cannot be given without; nothing where all are there."""
    target, intermediate = one.target, one.intermediate
    for model in one.models:
        for name in (BASELINE, intermediate):
            if not measured.seeds(model, name, target):
                there = measured.has_scores(model, name, target)
                return f"{model} / {name} has {'no answers by item' if there else 'no scores'}"
        if not measured.paired_seeds(model, intermediate, target, one.left_out):
            return f"{model} / {intermediate} and {model} / {BASELINE} have no seed in common"
    return ""


def _unrelated(measured: Measured, target: str, asked: Sequence[_Contrast]) -> list[_Contrast]:
    """The contrasts over the cells that are not flagged; none where no cell is, so that there is no difference."""
    results, languages = measured.results, measured.languages(target)
    kept = {
        one.intermediate: [
            language
            for language in languages
            if not results.relation(one.intermediate, target, language).flagged
        ]
        for one in asked
    }
    if all(len(kept[one.intermediate]) == len(languages) for one in asked if not one.lacks):
        return []
    found = []
    for one in asked:
        weights = _weights(measured, target, one.measure, kept[one.intermediate])
        if weights is not None:
            found.append(replace(one, weights=weights))
    return found


def _learned(measured: Measured, asked: Sequence[_Contrast]) -> list[_Contrast]:
    """The contrasts without collapsed seeds; none where no training that they are made of has collapsed."""
    collapsed = frozenset(measured.collapsed)
    touched = any(
        cell.model in one.models and cell.intermediate in {BASELINE, one.intermediate}
        for one in asked
        if not one.lacks
        for cell in collapsed
        if cell.target == one.target
    )
    if not touched:
        return []
    without = [replace(one, left_out=collapsed) for one in asked]
    return [replace(one, lacks=_lacks(measured, one)) for one in without]


def _rows(measured: Measured, cells: Cells, family: Sequence[_Contrast]) -> list[PrimaryRow]:
    """The rows of those contrasts of a family that lack nothing, not corrected yet."""
    contrasts = [one for one in family if not one.lacks]
    terms = [_terms(measured, one, POINTS) for one in contrasts]
    by_items = [index for index, of_one in enumerate(terms) if of_one[0].sample.clusters]
    bootstraps: dict[int, tuple[float, float]] = {}
    for count in {terms[index][0].sample.clusters for index in by_items}:
        alike = [index for index in by_items if terms[index][0].sample.clusters == count]
        bootstraps |= zip(alike, crossed_bootstraps([terms[index] for index in alike]), strict=True)
    rows = []
    for index, (one, of_points) in enumerate(zip(contrasts, terms, strict=True)):
        points = interval(of_points)
        rows.append(
            PrimaryRow(
                target=one.target,
                intermediate=one.intermediate,
                measure=one.measure,
                model=one.model,
                reference=one.reference,
                points=points,
                log_odds=interval(_terms(measured, one, LOG_ODDS)) if index in bootstraps else None,
                bootstrap=bootstraps.get(index),
                adjusted=points.p_value,
                detectable=smallest_detectable(points, 1 - LEVEL / len(family))
                if points.covers_seeds
                else inf,
                seeds=tuple(term.sample.seeds for term in of_points),
                deltas=tuple(term.sample.mean for term in of_points),
                cells=cells,
                languages=len(one.weights),
            )
        )
    return rows


def _terms(measured: Measured, one: _Contrast, scale: Scale) -> list[Term]:
    terms = []
    for weight, model in zip((1.0, -1.0), one.models, strict=False):
        seeds = measured.paired_seeds(model, one.intermediate, one.target, one.left_out)
        delta = measured.delta(model, one.intermediate, one.target, one.weights, scale, seeds)
        terms.append(Term(weight, delta))
    return terms


def _weights(measured: Measured, target: str, measure: str, languages: Sequence[str]) -> Weights | None:
    """The measure's weights; None where the languages do not have it."""
    if not set(languages) - {ENGLISH}:
        return None
    if measure == "meanZeroShot":
        return mean_zero_shot(languages, ENGLISH)
    if measure == "transferGap":
        return transfer_gap(languages, ENGLISH) if ENGLISH in languages else None
    worst = worst_of_none(measured, target, languages)
    return None if worst is None else {worst: 1.0}


def worst_of_none(measured: Measured, target: str, languages: Sequence[str]) -> str | None:
    """The language other than English with the lowest score of `none`, over models and seeds.

    A minimum chosen anew in each cell would be biased. Of equal ones the first in the order of codes; None without `none`.
    """
    ordered = lowest_of_none(measured, target, languages)
    return ordered[0] if ordered else None


def lowest_of_none(measured: Measured, target: str, languages: Sequence[str]) -> list[str]:
    """The languages other than English, from that with the lowest score of `none` over models and seeds to the highest."""
    scores = {
        language: [
            score
            for model in measured.results.models
            for seed in measured.seeds(model, BASELINE, target)
            if (score := measured.mean_score(model, BASELINE, target, language, seed)) is not None
        ]
        for language in sorted(languages)
        if language != ENGLISH
    }
    known = [language for language, values in scores.items() if values]
    return sorted(known, key=lambda language: sum(scores[language]) / len(scores[language]))


def missing_answers(results: Results) -> list[Evaluation]:
    """The evaluations that have scores and no answers, although others of their target have: made by an older trainer."""
    answered = {cell.target for cell in results.answers}
    scored = {
        Evaluation(row.model, row.intermediate, row.target, row.seed)
        for row in results.rows
        if row.target in answered
    }
    return sorted(scored - results.answers.keys(), key=str)
