"""From scores to the rows of the table: model x intermediate x target, over languages and seeds.

A language's score is the task's main one (exact match and F1 averaged for QA). A task's score is XTREME's: the mean
over its languages, English included. The zero-shot mean leaves English out, and the transfer gap is English less the
zero-shot mean (Hu et al. 2020). A delta is taken seed by seed against `none` of the same model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from statistics import fmean, stdev

from xstilts.catalogue import ENGLISH
from xstilts.catalogue.overlap import TrainingOverlap
from xstilts.results.collapse import collapsed
from xstilts.results.main import Seed, scores_by_cell, t_interval
from xstilts.results.rows import Evaluation, Results
from xstilts.spec.fields import BASELINE

Languages = Mapping[str, float]  # language -> main score


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and the seeds' standard deviation (n - 1) where there are two or more.

    `values` are what it was made of, one a seed.
    """

    mean: float
    spread: float | None = None
    values: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """The estimate of one value a seed; there is at least one."""
        numbers = tuple(values)
        return cls(fmean(numbers), stdev(numbers) if len(numbers) > 1 else None, numbers)

    @property
    def interval(self) -> tuple[float, float] | None:
        """See `t_interval`."""
        return t_interval(self.values)


@dataclass(frozen=True)
class Measures:
    """What is said of a target in one seed; the zero-shot measures need a language beside English, the gap both."""

    score: float
    english: float | None
    zero_shot: float | None
    gap: float | None

    @classmethod
    def of(cls, languages: Languages) -> Measures:
        """The measures of one seed's scores."""
        english = languages.get(ENGLISH)
        others = [value for language, value in languages.items() if language != ENGLISH]
        zero_shot = fmean(others) if others else None
        gap = None if english is None or zero_shot is None else english - zero_shot
        return cls(fmean(languages.values()), english, zero_shot, gap)


@dataclass(frozen=True)
class Combination:
    """A model, an intermediate and a target with all their seeds: a row of the table.

    Attributes:
        model, intermediate, target: what was scored.
        seeds: those that have scores; () for a deterministic score.
        score, english, zero_shot, gap: see the module.
        worst: the language other than English with the lowest mean over seeds.
        delta, delta_zero_shot, delta_gap: against `none`; None for `none` itself and where it has no scores.
        languages: every language's score.
        delta_languages: every language's score against that of `none`, as `delta`; empty where that is None.
        chance: the mean over the same languages, where it is defined for all of them.
        overlap: how much of the target's train set the intermediate has seen.
        languages_seen: those of the target's languages in which the intermediate was trained on labels.
        collapsed: the seeds that are no better than a blind guess.
    """

    model: str
    intermediate: str
    target: str
    seeds: tuple[int, ...]
    score: Estimate
    english: Estimate | None
    zero_shot: Estimate | None
    gap: Estimate | None
    worst: str | None
    delta: Estimate | None
    delta_zero_shot: Estimate | None
    delta_gap: Estimate | None
    languages: Mapping[str, Estimate]
    delta_languages: Mapping[str, Estimate]
    chance: float | None
    overlap: TrainingOverlap
    languages_seen: tuple[str, ...]
    collapsed: tuple[Seed, ...]


def combinations(results: Results) -> list[Combination]:
    """The combinations that have scores: by target, then model, then intermediate, each in the order of the file."""
    scores = scores_by_cell(results)
    low = collapsed(results, scores)
    ordered = product(results.targets, results.models, results.intermediates)
    return [
        _combination(results, names, scores[names], scores.get((model, BASELINE, target), {}), low)
        for target, model, intermediate in ordered
        if (names := (model, intermediate, target)) in scores
    ]


def best(rows: Sequence[Combination]) -> str:
    """The highest score of the first target, with what gave it: `xnli 71.3 base/mnli`; "" where nothing has scores."""
    first = [row for row in rows if row.target == rows[0].target]
    highest = max(first, key=lambda row: row.score.mean, default=None)
    if highest is None:
        return ""
    return f"{highest.target} {highest.score.mean:z.1f} {highest.model}/{highest.intermediate}"


def _combination(
    results: Results,
    names: tuple[str, str, str],
    scores: Mapping[Seed, Languages],
    baseline: Mapping[Seed, Languages],
    low: Collection[Evaluation],
) -> Combination:
    model, intermediate, target = names
    measures = {seed: Measures.of(languages) for seed, languages in scores.items()}
    pairs = list(_pairs(scores, baseline)) if intermediate != BASELINE else []
    measured = [(Measures.of(after), Measures.of(before)) for after, before in pairs]
    languages = {language: _over_seeds(scores, language) for language in _ordered(chain(*scores.values()))}
    chance = results.chance.get(target, {})
    relations = {language: results.relation(intermediate, target, language) for language in languages}
    return Combination(
        model=model,
        intermediate=intermediate,
        target=target,
        seeds=tuple(sorted(seed for seed in scores if seed is not None)),
        score=Estimate.of(m.score for m in measures.values()),
        english=_estimate(m.english for m in measures.values()),
        zero_shot=_estimate(m.zero_shot for m in measures.values()),
        gap=_estimate(m.gap for m in measures.values()),
        worst=min(
            (language for language in languages if language != ENGLISH),
            key=lambda language: languages[language].mean,
            default=None,
        ),
        delta=_estimate(_minus(after.score, before.score) for after, before in measured),
        delta_zero_shot=_estimate(_minus(after.zero_shot, before.zero_shot) for after, before in measured),
        delta_gap=_estimate(_minus(after.gap, before.gap) for after, before in measured),
        languages=languages,
        delta_languages=_deltas(pairs),
        chance=fmean(map(chance.__getitem__, languages)) if languages.keys() <= chance.keys() else None,
        overlap=max(relation.overlap for relation in relations.values()),
        languages_seen=tuple(code for code, relation in relations.items() if relation.language_seen),
        collapsed=tuple(seed for seed in scores if Evaluation(*names, seed) in low),
    )


def _pairs(
    scores: Mapping[Seed, Languages], baseline: Mapping[Seed, Languages]
) -> Iterator[tuple[Languages, Languages]]:
    """A seed's scores beside those of `none` with the same seed; a deterministic `none` stands beside every seed.

    Only in the languages that both have, so that no difference is one of languages.
    """
    for seed, languages in scores.items():
        before = baseline.get(seed, baseline.get(None)) or {}
        both = languages.keys() & before.keys()
        if both:
            yield {code: languages[code] for code in both}, {code: before[code] for code in both}


def _deltas(pairs: Sequence[tuple[Languages, Languages]]) -> dict[str, Estimate]:
    """The difference in every language that both have been scored in."""
    differences: dict[str, list[float]] = {}
    for after, before in pairs:
        for language in after.keys() & before.keys():
            differences.setdefault(language, []).append(after[language] - before[language])
    return {language: Estimate.of(differences[language]) for language in _ordered(differences)}


def _ordered(languages: Iterable[str]) -> list[str]:
    """English first, the others sorted."""
    return sorted(set(languages), key=lambda language: (language != ENGLISH, language))


def _over_seeds(scores: Mapping[Seed, Languages], language: str) -> Estimate:
    return Estimate.of(languages[language] for languages in scores.values() if language in languages)


def _estimate(values: Iterable[float | None]) -> Estimate | None:
    """The estimate of the seeds that have a value, or None where none has."""
    numbers = [value for value in values if value is not None]
    return Estimate.of(numbers) if numbers else None


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other
