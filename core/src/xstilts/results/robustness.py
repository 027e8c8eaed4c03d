"""Measures of robustness over languages: what is worst, how far they lie apart, and who gains.

The worst languages are those that are worst for `none` (see `xstilts.results.primary.lowest_of_none`): a minimum chosen anew
in every cell would be biased downwards, and by more where scores are noisier. Scripts and classes of resources (Joshi et al.
2020, arXiv 2004.09095) are the catalogue's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev
from typing import Final

from xstilts.catalogue import ENGLISH
from xstilts.catalogue.languages import LANGUAGES, Language
from xstilts.results.measured import Measured, helps
from xstilts.results.primary import lowest_of_none
from xstilts.spec.fields import BASELINE
from xstilts.statistics import POINTS, Interval, Term, benjamini_hochberg, interval

BOTTOM: Final = 3  # languages in the bottom mean


@dataclass(frozen=True)
class Robustness:
    """One model, intermediate and target. Scores in percent, means over seeds; None where it is not defined.

    Attributes:
        worst: the language that is worst for `none`, and its score.
        bottom: the mean of the three languages that are worst for `none`.
        over_languages: the standard deviation over the languages other than English, of means over seeds.
        over_seeds: that of the zero-shot mean over seeds.
        improved: on how many languages of `compared` the delta is above 0.
        worst_delta: the language with the lowest delta, and that.
        collapsed: how many seeds have come to nothing.
    """

    model: str
    intermediate: str
    target: str
    worst: tuple[str, float] | None
    bottom: float | None
    over_languages: float | None
    over_seeds: float | None
    improved: int | None
    compared: int
    worst_delta: tuple[str, float] | None
    collapsed: int


@dataclass(frozen=True)
class GroupDelta:
    """The mean delta over a group of a target's languages other than English."""

    model: str
    intermediate: str
    target: str
    kind: str
    group: str
    languages: tuple[str, ...]
    delta: Interval
    adjusted: float | None


@dataclass(frozen=True)
class LanguageDelta:
    """The delta in one language, with its interval; p corrected over all languages of all cells (BH)."""

    model: str
    intermediate: str
    target: str
    language: str
    delta: Interval
    adjusted: float | None
    flagged: bool


def robustness(measured: Measured) -> list[Robustness]:
    """By target, model and intermediate: the cells that have scores."""
    results = measured.results
    return [
        _robustness(measured, *cell)
        for target, model, intermediate in product(measured.targets, results.models, results.intermediates)
        if measured.seeds(*(cell := (model, intermediate, target)))
    ]


def language_deltas(measured: Measured) -> list[LanguageDelta]:
    """By target, model, intermediate and language."""
    cells = [
        (target, model, name, language)
        for target, model, name in _compared(measured)
        for language in measured.languages(target)
    ]
    found = [_interval(measured, model, name, target, [language]) for target, model, name, language in cells]
    return [
        LanguageDelta(
            model,
            name,
            target,
            language,
            delta,
            adjusted,
            measured.results.relation(name, target, language).flagged,
        )
        for (target, model, name, language), delta, adjusted in zip(
            cells, found, _adjusted(found), strict=True
        )
    ]


def group_deltas(measured: Measured) -> list[GroupDelta]:
    """By target, model, intermediate, then script and class of resources; a language the catalogue lacks is in none."""
    kinds: tuple[tuple[str, Callable[[Language], str]], ...] = (
        ("script", lambda language: language.script),
        ("resources", lambda language: f"class {language.resources}"),
    )
    cells = []
    for target, model, name in _compared(measured):
        others = [code for code in measured.languages(target) if code != ENGLISH and code in LANGUAGES]
        for kind, of in kinds:
            groups: dict[str, list[str]] = {}
            for code in others:
                groups.setdefault(of(LANGUAGES[code]), []).append(code)
            cells += [(target, model, name, kind, group, codes) for group, codes in sorted(groups.items())]
    found = [_interval(measured, model, name, target, codes) for target, model, name, _, _, codes in cells]
    return [
        GroupDelta(model, name, target, kind, group, tuple(codes), delta, adjusted)
        for (target, model, name, kind, group, codes), delta, adjusted in zip(
            cells, found, _adjusted(found), strict=True
        )
    ]


def _compared(measured: Measured) -> Iterator[tuple[str, str, str]]:
    """Target, model and intermediate of every cell that has a delta."""
    results = measured.results
    for target, model, name in product(measured.targets, results.models, results.intermediates):
        if name != BASELINE and measured.paired_seeds(model, name, target):
            yield target, model, name


def _interval(measured: Measured, model: str, name: str, target: str, languages: Sequence[str]) -> Interval:
    weights = dict.fromkeys(languages, 1 / len(languages))
    return interval([Term(1, measured.delta(model, name, target, weights, POINTS))])


def _adjusted(found: Sequence[Interval]) -> list[float | None]:
    """Benjamini and Hochberg's over the whole table; None where there is no interval to test with."""
    known = [index for index, one in enumerate(found) if one.known]
    adjusted = dict(zip(known, benjamini_hochberg([found[index].p_value for index in known]), strict=True))
    return [adjusted.get(index) for index in range(len(found))]


def _robustness(measured: Measured, model: str, intermediate: str, target: str) -> Robustness:
    others = [code for code in measured.languages(target) if code != ENGLISH]
    seeds = measured.seeds(model, intermediate, target)
    scores = {
        code: [
            score
            for seed in seeds
            if (score := measured.mean_score(model, intermediate, target, code, seed)) is not None
        ]
        for code in others
    }
    means = {code: fmean(values) for code, values in scores.items() if values}
    by_seed = [
        fmean(values)
        for seed in seeds
        if (
            values := [
                score
                for code in others
                if (score := measured.mean_score(model, intermediate, target, code, seed)) is not None
            ]
        )
    ]
    lowest = [code for code in lowest_of_none(measured, target, others) if code in means]
    deltas = {}
    if intermediate != BASELINE and measured.paired_seeds(model, intermediate, target):
        deltas = {code: measured.delta(model, intermediate, target, {code: 1.0}).mean for code in others}
    least = min(deltas, key=lambda code: deltas[code], default=None)
    return Robustness(
        model=model,
        intermediate=intermediate,
        target=target,
        worst=(lowest[0], means[lowest[0]]) if lowest else None,
        bottom=fmean(means[code] for code in lowest[:BOTTOM]) if len(lowest) >= BOTTOM else None,
        over_languages=stdev(means.values()) if len(means) > 1 else None,
        over_seeds=stdev(by_seed) if len(by_seed) > 1 else None,
        improved=sum(map(helps, deltas.values())) if deltas else None,
        compared=len(deltas),
        worst_delta=None if least is None else (least, deltas[least]),
        collapsed=sum(
            (cell.model, cell.intermediate, cell.target) == (model, intermediate, target)
            for cell in measured.collapsed
        ),
    )
