"""The primary answer of an experiment, as its file fixes it before a run (`spec.analysis`).

With two models it is the interaction: by how much more (or less) an intermediate changes the second model than the first,
delta(second) - delta(first). Every further model is held against the first likewise; with one model it is the delta itself. A
delta is taken seed by seed against `none`. Statistics: see `xstilts.statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product
from typing import Final

import numpy as np
import numpy.typing as npt

from xstilts.catalogue import ENGLISH
from xstilts.results.rows import Answers, Evaluation, Results
from xstilts.spec import Analysis
from xstilts.spec.fields import BASELINE
from xstilts.statistics import (
    LOG_ODDS,
    POINTS,
    Interval,
    Sample,
    Scale,
    Term,
    Weights,
    benjamini_hochberg,
    crossed_bootstrap,
    holm,
    interval,
    mean_zero_shot,
    sample,
    smallest_detectable,
    transfer_gap,
)

CORRECTIONS: Final[Mapping[str, Callable[[Sequence[float]], list[float]]]] = {
    "Holm": holm,
    "BH": benjamini_hochberg,
}
Numbers = npt.NDArray[np.int64]
Seeds = Mapping[
    int | None, Mapping[str, Answers]
]  # the answers of one model and intermediate by seed and language


@dataclass(frozen=True)
class PrimaryRow:
    """One contrast.

    Attributes:
        target, intermediate, measure: what is asked.
        model, reference: delta(model) - delta(reference); no reference with one model, where it is delta(model).
        points, log_odds: on the two scales; the p-value is that of points.
        bootstrap: the crossed bootstrap's interval beside that of points.
        adjusted: the p-value of points, corrected over all rows of the target.
        detectable: the smallest true contrast, in points, that would have been found with 80 % power.
        seeds: of each model.
    """

    target: str
    intermediate: str
    measure: str
    model: str
    reference: str | None
    points: Interval
    log_odds: Interval
    bootstrap: tuple[float, float]
    adjusted: float
    detectable: float
    seeds: tuple[int, ...]


def primary(results: Results, analysis: Analysis) -> list[PrimaryRow]:
    """All contrasts that the answers in the store allow: by target, model, intermediate, then measure.

    A target whose items are not simply right or wrong has none, nor has a model without `none`. Only the languages that
    every seed of the target has been scored in are taken.
    """
    rows: list[PrimaryRow] = []
    for target in results.targets:
        of_target = list(_of_target(results, target, analysis))
        adjusted = CORRECTIONS[analysis.correction]([row.points.p_value for row in of_target])
        rows += [replace(row, adjusted=value) for row, value in zip(of_target, adjusted, strict=True)]
    return rows


def _of_target(results: Results, target: str, analysis: Analysis) -> Iterator[PrimaryRow]:
    answered = _by_cell(results, target)
    languages = _common_languages(answered)
    if not languages:
        return
    models = [model for model in results.models if (model, BASELINE) in answered]
    pairs: list[tuple[str, str | None]] = [(model, models[0]) for model in models[1:]]
    pairs = pairs or [(model, None) for model in models]
    intermediates = [name for name in results.intermediates if name != BASELINE]
    measures = {name: _weights(name, languages, answered) for name in analysis.primary}
    for (model, reference), intermediate in product(pairs, intermediates):
        names = [model] if reference is None else [model, reference]
        if all((name, intermediate) in answered for name in names):
            for measure, weights in measures.items():
                if weights is not None:
                    deltas = {
                        scale: [_delta(answered, name, intermediate, weights, scale) for name in names]
                        for scale in Scale
                    }
                    if all(of_scale is not None for of_scale in deltas[POINTS]):
                        yield _row(target, intermediate, measure, (model, reference), deltas)


def _row(
    target: str,
    intermediate: str,
    measure: str,
    models: tuple[str, str | None],
    deltas: Mapping[Scale, Sequence[Sample | None]],
) -> PrimaryRow:
    terms = {
        scale: [
            Term(weight, one) for weight, one in zip((1.0, -1.0), of_scale, strict=False) if one is not None
        ]
        for scale, of_scale in deltas.items()
    }
    points = interval(terms[POINTS])
    return PrimaryRow(
        target=target,
        intermediate=intermediate,
        measure=measure,
        model=models[0],
        reference=models[1],
        points=points,
        log_odds=interval(terms[LOG_ODDS]),
        bootstrap=crossed_bootstrap(terms[POINTS]),
        adjusted=points.p_value,
        detectable=smallest_detectable(points),
        seeds=tuple(term.sample.seeds for term in terms[POINTS]),
    )


def _by_cell(results: Results, target: str) -> dict[tuple[str, str], dict[int | None, Mapping[str, Answers]]]:
    """(model, intermediate) -> seed -> language -> answers."""
    found: dict[tuple[str, str], dict[int | None, Mapping[str, Answers]]] = {}
    for cell, languages in results.answers.items():
        if cell.target == target:
            found.setdefault((cell.model, cell.intermediate), {})[cell.seed] = languages
    return found


def _common_languages(answered: Mapping[tuple[str, str], Seeds]) -> list[str]:
    sets = [set(languages) for seeds in answered.values() for languages in seeds.values()]
    return sorted(set.intersection(*sets)) if sets else []


def _weights(
    measure: str, languages: Sequence[str], answered: Mapping[tuple[str, str], Seeds]
) -> Weights | None:
    """The measure's weights; None where the languages do not have it."""
    if not set(languages) - {ENGLISH}:
        return None
    if measure == "meanZeroShot":
        return mean_zero_shot(languages, ENGLISH)
    if measure == "transferGap":
        return transfer_gap(languages, ENGLISH) if ENGLISH in languages else None
    return {_worst_of_none(languages, answered): 1.0}


def _worst_of_none(languages: Sequence[str], answered: Mapping[tuple[str, str], Seeds]) -> str:
    """The language with the lowest accuracy of `none`, over models and seeds: a minimum chosen anew would be biased."""
    baseline = [seed for (_, name), seeds in answered.items() if name == BASELINE for seed in seeds.values()]

    def accuracy(language: str) -> float:
        return sum(one[language].right.count("1") / len(one[language].right) for one in baseline)

    return min((language for language in languages if language != ENGLISH), key=accuracy)


def _delta(
    answered: Mapping[tuple[str, str], Seeds], model: str, intermediate: str, weights: Weights, scale: Scale
) -> Sample | None:
    """The delta of a model over the seeds that both have; None where they have none in common."""
    after, before = answered[model, intermediate], answered[model, BASELINE]
    seeds = sorted((seed for seed in after if seed in before), key=str)
    if not seeds:
        return None
    return _sample([after[seed] for seed in seeds], weights, scale) - _sample(
        [before[seed] for seed in seeds], weights, scale
    )


def _sample(seeds: Sequence[Mapping[str, Answers]], weights: Weights, scale: Scale) -> Sample:
    right = {
        language: np.array([[digit == "1" for digit in seed[language].right] for seed in seeds])
        for language in weights
    }
    return sample(right, _clusters(seeds[0], weights), weights, scale)


def _clusters(languages: Mapping[str, Answers], weights: Weights) -> dict[str, Numbers]:
    """The clusters' numbers; where the languages are not parallel, each has clusters of its own."""
    clusters = {language: np.array(languages[language].clusters, dtype=np.int64) for language in weights}
    first = next(iter(clusters.values()))
    if all(np.array_equal(first, other) for other in clusters.values()):
        return clusters
    offsets = accumulate((int(of.max()) + 1 for of in clusters.values()), initial=0)
    return {language: of + offset for (language, of), offset in zip(clusters.items(), offsets, strict=False)}


def missing_answers(results: Results) -> list[Evaluation]:
    """The evaluations that have scores and no answers, although others of their target have: made by an older trainer."""
    scored = {
        Evaluation(row.model, row.intermediate, row.target, row.seed)
        for row in results.rows
        if any(cell.target == row.target for cell in results.answers)
    }
    return sorted(scored - results.answers.keys(), key=str)
