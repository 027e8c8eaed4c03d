"""The summaries of Phang et al. 2020, with intervals: what an intermediate does on average, and what the best one does.

A delta here is of XTREME's score: the mean over a target's languages, English included, less that of `none`. The mean over
targets is taken seed by seed (what the trainings of a seed share stays together), targets whose scored split is a test split
apart from those where it is a dev split.

Nothing here was fixed before the run as the primary answer was: all of it is descriptive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

import numpy as np

from xstilts.catalogue import CATALOGUE
from xstilts.results.main import Seed
from xstilts.results.measured import Measured, common_seeds, helps, score_delta
from xstilts.results.selection import Selection, best
from xstilts.spec.fields import BASELINE
from xstilts.statistics import Interval, Sample, Term, interval, mean_over_tests


class Split(StrEnum):
    """Which part of a target is scored."""

    TEST = "test"
    DEV = "dev"


@dataclass(frozen=True)
class TargetMean:
    """The mean delta of an intermediate over targets.

    Attributes:
        model, intermediate, split: of what.
        targets: over which; those with a relation to the intermediate among them are `related`.
        helped: on how many the delta is above 0.
        mean: with its interval.
        unrelated: the same without the related targets; None where none are left, or none are related.
    """

    model: str
    intermediate: str
    split: Split
    targets: tuple[str, ...]
    related: tuple[str, ...]
    helped: int
    mean: Interval
    unrelated: Interval | None


@dataclass(frozen=True)
class Consistency:
    """How many of the intermediates help a target, by the mean over seeds."""

    model: str
    target: str
    helped: int
    intermediates: int
    related: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """One intermediate less another, on the mean over targets that both have.

    `against` is an intermediate, or `best single`: that of the mix's own tasks which is best, chosen as for `BestOf`, on the
    targets on which it can be; `selection` has the ways.
    """

    model: str
    intermediate: str
    against: str
    targets: tuple[str, ...]
    difference: Interval
    selection: tuple[Selection, ...] = ()


@dataclass(frozen=True)
class BestOf:
    """What the best intermediate of a target brings, where what it was chosen on is not what it is scored on.

    Attributes:
        model, target: of what; target None is the mean over the targets with a delta.
        selection: how it was chosen.
        delta: with its interval; None where nothing is left to score on, or targets have other seeds than each other.
        chosen: for how many seeds each was chosen (halves count as parts of a seed).
        unselected: the highest mean delta in the same seeds, chosen and scored on the same numbers: biased upwards, to
            compare with; None where no seed has all intermediates.
        unrelated: whether only intermediates without a relation to the target could be chosen.
        targets: over how many it is.
    """

    model: str
    target: str | None
    selection: tuple[Selection, ...]
    delta: Interval | None
    chosen: Mapping[str, float]
    unselected: float | None
    unrelated: bool
    targets: int = 1


def split_of(target: str) -> Split:
    """The split that is scored; an own task's is its test split."""
    entry = CATALOGUE.get(target)
    return Split.TEST if entry is None or entry.evaluates == "test" else Split.DEV


def target_means(measured: Measured) -> list[TargetMean]:
    """By model, intermediate and split."""
    return [
        found
        for model, intermediate, split in product(measured.results.models, _intermediates(measured), Split)
        if (found := _target_mean(measured, model, intermediate, split)) is not None
    ]


def consistencies(measured: Measured) -> list[Consistency]:
    """By target and model: those with a delta of one intermediate or more."""
    found = []
    for target, model in product(measured.targets, measured.results.models):
        means = {
            name: score_delta(measured, model, name, target).mean
            for name in _intermediates(measured)
            if measured.paired_seeds(model, name, target)
        }
        if means:
            related = tuple(name for name in means if is_related(measured, name, target))
            helped = sum(map(helps, means.values()))
            found.append(Consistency(model, target, helped, len(means), related))
    return found


def comparisons(measured: Measured) -> list[Comparison]:
    """A variant against its plain form (continued pretraining, translation), a mix against the best of its tasks."""
    traits = measured.results.traits
    found = []
    for model, (name, one) in product(measured.results.models, traits.items()):
        plain = [
            other
            for other, that in traits.items()
            if one.variant and not that.variant and that.tasks == one.tasks
        ]
        found += [
            comparison
            for other in plain
            if (comparison := _comparison(measured, model, name, other)) is not None
        ]
        singles = [
            other
            for other, that in traits.items()
            if len(one.tasks) > 1
            and len(that.tasks) == 1
            and set(that.tasks) < set(one.tasks)
            and not that.variant
        ]
        mix = _against_best(measured, model, name, singles) if singles else None
        if mix is not None:
            found.append(mix)
    return found


def best_of(measured: Measured, *, unrelated: bool = False) -> list[BestOf]:
    """By model: every target, and last the mean over those on which a choice could be scored, where there are two or more.

    An intermediate is chosen for each seed in the other seeds (see `xstilts.results.selection`): on English dev, where every
    training has such a score and it is of a dev set (not of a part held out of train, which an in-task intermediate may have
    seen); else on one half of the items and scored on the other, both ways, over 20 halvings; else on their scores. So the
    luck of a training has no part in its own choice, and the noise of choosing is part of the interval.

    The interval is that of any delta but for the variance of the seeds, which is larger here: any two seeds have had a part in
    the choice for each other (see `Sample.seed_variance`).

    Args:
        measured: the samples.
        unrelated: choose only among intermediates without a relation to the target.
    """
    found = []
    for model in measured.results.models:
        of_model, scored = [], []
        for target in measured.targets:
            names = [
                name
                for name in _intermediates(measured)
                if measured.paired_seeds(model, name, target)
                and not (unrelated and is_related(measured, name, target))
            ]
            if not names:
                continue
            seeds = common_seeds(measured, model, names, target)
            chosen = best(measured, model, names, target, seeds)
            naive = [score_delta(measured, model, name, target, seeds).mean for name in names if seeds]
            row = BestOf(
                model=model,
                target=target,
                selection=(chosen.selection,),
                delta=None if chosen.delta is None else interval([Term(1, chosen.delta)]),
                chosen=chosen.chosen,
                unselected=max(naive, default=None),
                unrelated=unrelated,
            )
            of_model.append(row)
            if chosen.delta is not None:
                scored.append((row, seeds, chosen.delta))
        found += of_model
        if len(scored) > 1:
            found.append(_mean_best(scored))
    return found


def is_related(measured: Measured, intermediate: str, target: str) -> bool:
    """Whether an intermediate has seen the target's training rows, or labels in any of its languages."""
    return any(
        measured.results.relation(intermediate, target, language).flagged
        for language in measured.languages(target)
    )


def _intermediates(measured: Measured) -> list[str]:
    return [name for name in measured.results.intermediates if name != BASELINE]


def _mean_best(scored: Sequence[tuple[BestOf, Sequence[Seed], Sample]]) -> BestOf:
    """The mean over targets: of the deltas only where all targets have the same seeds."""
    rows = [row for row, _, _ in scored]
    alike = all(seeds == scored[0][1] for _, seeds, _ in scored)
    naive = [row.unselected for row in rows if row.unselected is not None]
    return replace(
        rows[0],
        target=None,
        selection=tuple(dict.fromkeys(row.selection[0] for row in rows)),
        delta=interval([Term(1, mean_over_tests([delta for _, _, delta in scored]))]) if alike else None,
        chosen={},
        unselected=float(np.mean(naive)),
        targets=len(rows),
    )


def _over_targets(measured: Measured, model: str, intermediate: str, targets: Sequence[str]) -> Sample | None:
    """The mean delta over targets, in the seeds that all of them have."""
    paired = [measured.paired_seeds(model, intermediate, target) for target in targets]
    seeds = tuple(seed for seed in paired[0] if all(seed in others for others in paired)) if paired else ()
    if not seeds:
        return None
    return mean_over_tests([score_delta(measured, model, intermediate, target, seeds) for target in targets])


def _target_mean(measured: Measured, model: str, intermediate: str, split: Split) -> TargetMean | None:
    targets = [
        target
        for target in measured.targets
        if split_of(target) is split and measured.paired_seeds(model, intermediate, target)
    ]
    mean = _over_targets(measured, model, intermediate, targets)
    if mean is None:
        return None
    related = [target for target in targets if is_related(measured, intermediate, target)]
    rest = [target for target in targets if target not in related]
    without = _over_targets(measured, model, intermediate, rest) if related else None
    return TargetMean(
        model=model,
        intermediate=intermediate,
        split=split,
        targets=tuple(targets),
        related=tuple(related),
        helped=sum(helps(score_delta(measured, model, intermediate, target).mean) for target in targets),
        mean=interval([Term(1, mean)]),
        unrelated=None if without is None else interval([Term(1, without)]),
    )


def _shared_targets(measured: Measured, model: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        target
        for target in measured.targets
        if all(measured.paired_seeds(model, name, target) for name in names)
    )


def _comparison(measured: Measured, model: str, name: str, other: str) -> Comparison | None:
    targets = _shared_targets(measured, model, [name, other])
    differences = []
    for target in targets:
        seeds = common_seeds(measured, model, [name, other], target)
        one, less = (score_delta(measured, model, each, target, seeds) for each in (name, other))
        differences.append((seeds, one - less))
    mean = _mean_of(differences)
    return None if mean is None else Comparison(model, name, other, targets, interval([Term(1, mean)]))


def _against_best(measured: Measured, model: str, name: str, singles: Sequence[str]) -> Comparison | None:
    there = [single for single in singles if _shared_targets(measured, model, [name, single])]
    differences: dict[str, tuple[Sequence[Seed], Sample]] = {}
    ways = []
    for target in _shared_targets(measured, model, [name, *there]) if there else ():
        seeds = common_seeds(measured, model, [name, *there], target)
        found = best(measured, model, there, target, seeds)
        if found.delta is not None:
            differences[target] = seeds, score_delta(measured, model, name, target, seeds) - found.delta
            ways.append(found.selection)
    mean = _mean_of(list(differences.values()))
    if mean is None:
        return None
    selection = tuple(dict.fromkeys(ways))
    return Comparison(model, name, "best single", tuple(differences), interval([Term(1, mean)]), selection)


def _mean_of(of_targets: Sequence[tuple[Sequence[Seed], Sample]]) -> Sample | None:
    """The mean of samples over targets, in the seeds that all of them have; None where none are."""
    if not of_targets:
        return None
    seeds = [seed for seed in of_targets[0][0] if all(seed in others for others, _ in of_targets)]
    if not seeds:
        return None
    return mean_over_tests([one.of_seeds([own.index(seed) for seed in seeds]) for own, one in of_targets])
