"""The summaries of Phang et al. 2020, with intervals: what an intermediate does on average, and what the best one does.

A delta here is of XTREME's score: the mean over a target's languages, English included, less that of `none`. The mean over
targets is taken seed by seed (what the trainings of a seed share stays together), targets whose scored split is a test split
apart from those where it is a dev split.

Nothing here was fixed before the run as the primary answer was: all of it is descriptive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np

from xstilts.catalogue import CATALOGUE
from xstilts.results.main import Seed
from xstilts.results.measured import Measured, common_seeds, score_delta
from xstilts.results.selection import Selection, chooser, scored, stacked
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
        delta: with its interval; None where nothing is left to score on.
        chosen: by how many seeds each was chosen (halves count as parts of a seed).
        unselected: the highest mean delta, chosen and scored on the same numbers: biased upwards, to compare with.
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
            helped = sum(value > 0 for value in means.values())
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
        best = _against_best(measured, model, name, singles) if singles else None
        if best is not None:
            found.append(best)
    return found


def best_of(measured: Measured, *, unrelated: bool = False) -> list[BestOf]:
    """By model: every target, and last the mean over those on which a choice could be scored, where there are two or more.

    Seed by seed, an intermediate is chosen on English dev, where every training has such a score and it is of a dev set (not
    of a part held out of train, which an in-task intermediate may have seen); else on one half of the items and scored on the other, both ways, over 20 halvings; else
    on the other seeds. So the choice is made anew in every seed, and its noise is part of the interval.

    Args:
        measured: the samples.
        unrelated: choose only among intermediates without a relation to the target.
    """
    found = []
    for model in measured.results.models:
        samples: list[Sample] = []
        of_model = []
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
            selection, sample, chosen = _best(measured, model, names, target, seeds)
            if sample is not None:
                samples.append(sample)
            of_model.append(
                BestOf(
                    model=model,
                    target=target,
                    selection=(selection,),
                    delta=None if sample is None else interval([Term(1, sample)]),
                    chosen=chosen,
                    unselected=max(score_delta(measured, model, name, target).mean for name in names),
                    unrelated=unrelated,
                )
            )
        found += of_model
        with_delta = [one for one in of_model if one.delta is not None]
        if len(with_delta) > 1:
            alike = len({one.seeds for one in samples}) == 1
            naive = [one.unselected for one in with_delta if one.unselected is not None]
            found.append(
                BestOf(
                    model=model,
                    target=None,
                    selection=tuple(dict.fromkeys(one.selection[0] for one in with_delta)),
                    delta=interval([Term(1, mean_over_tests(samples))]) if alike else None,
                    chosen={},
                    unselected=float(np.mean(naive)),
                    unrelated=unrelated,
                    targets=len(with_delta),
                )
            )
    return found


def is_related(measured: Measured, intermediate: str, target: str) -> bool:
    """Whether an intermediate has seen the target's training rows, or labels in any of its languages."""
    return any(
        measured.results.relation(intermediate, target, language).flagged
        for language in measured.languages(target)
    )


def _intermediates(measured: Measured) -> list[str]:
    return [name for name in measured.results.intermediates if name != BASELINE]


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
        helped=sum(score_delta(measured, model, intermediate, target).mean > 0 for target in targets),
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
    samples = _differences(targets, lambda target: _pair(measured, model, name, other, target))
    return None if samples is None else Comparison(model, name, other, targets, interval([Term(1, samples)]))


def _pair(measured: Measured, model: str, name: str, other: str, target: str) -> Mapping[Seed, Sample]:
    seeds = common_seeds(measured, model, [name, other], target)
    return {
        seed: score_delta(measured, model, name, target, [seed])
        - score_delta(measured, model, other, target, [seed])
        for seed in seeds
    }


def _against_best(measured: Measured, model: str, name: str, singles: Sequence[str]) -> Comparison | None:
    there = [single for single in singles if _shared_targets(measured, model, [name, single])]
    targets = _shared_targets(measured, model, [name, *there]) if there else ()
    seeds = {target: common_seeds(measured, model, [name, *there], target) for target in targets}
    ways = {target: chooser(measured, model, there, target, seeds[target]) for target in targets}
    choices = {target: choose for target, (_, choose) in ways.items() if choose is not None}

    def by_seed(target: str) -> Mapping[Seed, Sample]:
        return {
            seed: score_delta(measured, model, name, target, [seed]) - scored(choices[target](seed))
            for seed in seeds[target]
        }

    sample = _differences(list(choices), by_seed)
    if sample is None:
        return None
    selection = tuple(dict.fromkeys(ways[target][0] for target in choices))
    return Comparison(model, name, "best single", tuple(choices), interval([Term(1, sample)]), selection)


def _differences(targets: Sequence[str], by_seed: Callable[[str], Mapping[Seed, Sample]]) -> Sample | None:
    """The mean over targets of samples that are made seed by seed, in the seeds that all targets have."""
    of_targets = [by_seed(target) for target in targets]
    if not of_targets:
        return None
    seeds = [seed for seed in of_targets[0] if all(seed in others for others in of_targets)]
    if not seeds:
        return None
    return mean_over_tests([stacked([of_target[seed] for seed in seeds]) for of_target in of_targets])


def _best(
    measured: Measured, model: str, names: Sequence[str], target: str, seeds: Sequence[Seed]
) -> tuple[Selection, Sample | None, dict[str, float]]:
    selection, choose = chooser(measured, model, names, target, seeds)
    if choose is None:
        return selection, None, {}
    chosen: dict[str, float] = {}
    samples = []
    for seed in seeds:
        choice = choose(seed)
        samples.append(scored(choice))
        for name, _ in choice.parts:
            chosen[name] = chosen.get(name, 0.0) + 1 / len(choice.parts)
    return selection, stacked(samples), chosen
