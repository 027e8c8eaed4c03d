"""How the best of several intermediates is chosen on something else than it is scored on, seed by seed.

On English dev, where every training has such a score and it is of a dev set; else on one half of the items, and scored on the
other, both ways, over several halvings; else on the other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from xstilts.catalogue import CATALOGUE
from xstilts.results.main import Seed
from xstilts.results.measured import Measured, score_delta
from xstilts.results.rows import Evaluation
from xstilts.statistics import Sample

SPLITS: Final = 20  # so many halvings of the items; their mean is taken
Choice = Callable[[Seed], "Chosen"]


class Selection(StrEnum):
    """On what the best intermediate was chosen, apart from what it is scored on."""

    ENGLISH_DEV = "English dev"
    ITEM_HALVES = "the other half of the items"
    OTHER_SEEDS = "the other seeds"
    NONE = "not possible"


@dataclass(frozen=True)
class Chosen:
    """A choice for one seed: intermediates, each with the part of the choice and the items that it is scored on."""

    parts: tuple[tuple[str, Sample], ...]


def chooser(
    measured: Measured, model: str, names: Sequence[str], target: str, seeds: Sequence[Seed]
) -> tuple[Selection, Choice | None]:
    """How the best intermediate of a seed is chosen; None where there is nothing to choose on."""
    if not seeds:
        return Selection.NONE, None
    deltas = {name: score_delta(measured, model, name, target, seeds) for name in names}
    place = {seed: index for index, seed in enumerate(seeds)}
    dev = measured.results.dev
    entry = CATALOGUE.get(target)

    def of_seed(name: str, index: int) -> Sample:
        one = deltas[name]
        return Sample(
            one.values[index : index + 1], one.influence[index : index + 1], items_known=one.items_known
        )

    def on_dev(seed: Seed) -> Chosen:
        best = max(names, key=lambda name: dev[Evaluation(model, name, target, seed)])
        return Chosen(((best, of_seed(best, place[seed])),))

    def on_halves(seed: Seed) -> Chosen:
        return Chosen(tuple(_halved({name: of_seed(name, place[seed]) for name in names})))

    def on_others(seed: Seed) -> Chosen:
        index = place[seed]
        best = max(names, key=lambda name: float(np.delete(deltas[name].values, index).mean()))
        return Chosen(((best, of_seed(best, index)),))

    if (entry is None or entry.trains_on is None or CATALOGUE[entry.trains_on].own_dev) and all(
        Evaluation(model, name, target, seed) in dev for name in names for seed in seeds
    ):
        return Selection.ENGLISH_DEV, on_dev
    if all(one.items_known and one.clusters > 1 for one in deltas.values()):
        return Selection.ITEM_HALVES, on_halves
    if len(seeds) > 1:
        return Selection.OTHER_SEEDS, on_others
    return Selection.NONE, None


def _halved(deltas: Mapping[str, Sample]) -> Iterator[tuple[str, Sample]]:
    """Cross-fitting: the best on one half of the clusters, scored on the other, both ways, over several halvings.

    A delta on a half is the delta plus, to first order, what the half's clusters add to it and the others take away.
    """
    count = next(iter(deltas.values())).clusters
    draw = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = draw.permutation(count)
        for half in (order[: count // 2], order[count // 2 :]):
            inside = np.zeros(count, dtype=bool)
            inside[half] = True
            on_half = {
                name: one.values[0] + count / inside.sum() * one.influence[0, inside].sum()
                for name, one in deltas.items()
            }
            best = max(on_half, key=lambda name: on_half[name])
            one = deltas[best]
            rest = ~inside
            value = one.values + count / rest.sum() * one.influence[:, rest].sum(axis=1)
            influence = np.where(rest, one.influence * (count / rest.sum()), 0.0)
            influence -= np.where(rest, influence.sum(axis=1, keepdims=True) / rest.sum(), 0.0)
            yield best, Sample(value, influence, items_known=True)


def scored(choice: Chosen) -> Sample:
    """The mean over a choice's parts, in its one seed."""
    samples = [sample for _, sample in choice.parts]
    return Sample(
        np.mean([one.values for one in samples], axis=0),
        np.mean([one.influence for one in samples], axis=0),
        items_known=all(one.items_known for one in samples),
    )


def stacked(samples: Sequence[Sample]) -> Sample:
    """Samples of one seed each, as one of all of them."""
    return Sample(
        np.concatenate([one.values for one in samples]),
        np.concatenate([one.influence for one in samples]),
        items_known=all(one.items_known for one in samples),
    )
