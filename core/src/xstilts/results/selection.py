"""How the best of several intermediates is chosen on something else than it is scored on.

What is asked is what an intermediate does, not what its luckiest training did. So the choice for a seed is made in the other
seeds: on their English dev, where every training has such a score and it is of a dev set; else on one half of the items,
scored on the other half in the seed itself, both ways, over several halvings; else on their scores. This is cross-fitting,
with its splits repeated (Chernozhukov et al. 2018, "Double/debiased machine learning for treatment and structural
parameters", Econometrics Journal 21(1)): a choice knows nothing of the training, nor of the items, that it is scored on.

Two things are less than that, and have names of their own. Where nothing is known of items, all of them choose and score:
what an intermediate does is then asked for these very items. With one seed there is no other training to choose in, and it is
a run that is chosen, by its own dev or half of its items: its luck counts as an effect, which is shown too high by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from xstilts.catalogue import CATALOGUE
from xstilts.results.main import Seed
from xstilts.results.measured import Measured, score_delta
from xstilts.results.rows import Evaluation
from xstilts.statistics import Sample

SPLITS: Final = 20  # so many halvings of the items; their mean is taken
Floats = npt.NDArray[np.float64]
Choices = npt.NDArray[np.intp]


class Selection(StrEnum):
    """On what the best intermediate was chosen, apart from what it is scored on."""

    ENGLISH_DEV = "English dev of the other seeds"
    ITEM_HALVES = "the other half of the items in the other seeds"
    OTHER_SEEDS = "the other seeds"
    OWN_ENGLISH_DEV = "English dev of the same run"
    OWN_ITEM_HALVES = "the other half of the items of the same run"
    NONE = "not possible"


OF_ONE_RUN: Final = frozenset({Selection.OWN_ENGLISH_DEV, Selection.OWN_ITEM_HALVES})


@dataclass(frozen=True)
class Best:
    """The best intermediate.

    Attributes:
        selection: on what it was chosen.
        delta: what was chosen for each seed, scored; None where there is nothing to choose on.
        chosen: for how many seeds each was chosen (halves count as parts of a seed).
    """

    selection: Selection
    delta: Sample | None
    chosen: Mapping[str, float]


def best(measured: Measured, model: str, names: Sequence[str], target: str, seeds: Sequence[Seed]) -> Best:
    """The best of some intermediates, each of which must have these seeds."""
    if not seeds:
        return Best(Selection.NONE, None, {})
    deltas = [score_delta(measured, model, name, target, seeds) for name in names]
    alone = len(seeds) == 1
    dev = _english_dev(measured, model, names, target, seeds)
    if dev is not None:
        selection = Selection.OWN_ENGLISH_DEV if alone else Selection.ENGLISH_DEV
        choices, delta = _on_all_items(deltas, dev)
    elif all(one.items_known and one.clusters > 1 for one in deltas):
        selection = Selection.OWN_ITEM_HALVES if alone else Selection.ITEM_HALVES
        choices, delta = _on_halves(deltas)
    elif not alone:
        selection = Selection.OTHER_SEEDS
        choices, delta = _on_all_items(deltas, np.stack([one.values for one in deltas]))
    else:
        return Best(Selection.NONE, None, {})
    shares = {name: float((choices == index).mean(axis=1).sum()) for index, name in enumerate(names)}
    return Best(selection, delta, {name: share for name, share in shares.items() if share})


def _english_dev(
    measured: Measured, model: str, names: Sequence[str], target: str, seeds: Sequence[Seed]
) -> Floats | None:
    """[K, S] the scores; None where one is not there, or is of a part held out of train."""
    entry = CATALOGUE.get(target)
    if entry is not None and entry.trains_on is not None and not CATALOGUE[entry.trains_on].own_dev:
        return None
    known = measured.results.dev
    cells = [[Evaluation(model, name, target, seed) for seed in seeds] for name in names]
    if not all(cell in known for row in cells for cell in row):
        return None
    return np.array([[known[cell] for cell in row] for row in cells])


def _best_elsewhere(scores: Floats) -> Choices:
    """[S, H] which of [K, S, H] has the best mean over the other seeds, for each; with one seed, which is best in it.

    Of equals it is the first one, on any machine: hence the rounding.
    """
    seeds = range(scores.shape[1])
    others = (
        [np.delete(scores, seed, axis=1).mean(axis=1) for seed in seeds] if len(seeds) > 1 else [scores[:, 0]]
    )
    best_of_each: Choices = np.stack(others, axis=1).round(9).argmax(axis=0)
    return best_of_each


def _on_all_items(deltas: Sequence[Sample], scores: Floats) -> tuple[Choices, Sample]:
    """What [K, S] scores choose for each seed, and its delta there."""
    choices = _best_elsewhere(scores[..., None])
    rows = [(deltas[choice], seed) for seed, [choice] in enumerate(choices)]
    return choices, Sample(
        np.array([one.values[seed] for one, seed in rows]),
        np.stack([one.influence[seed] for one, seed in rows]),
        items_known=all(one.items_known for one in deltas),
        cross_fitted=len(choices) > 1,
    )


def _on_halves(deltas: Sequence[Sample]) -> tuple[Choices, Sample]:
    """The best on one half of the clusters, scored on the other, both ways, over several halvings: each choice, their mean.

    A delta on a half is the delta plus, to first order, what the half's clusters add to it and the others take away.
    """
    influence = np.stack([one.influence for one in deltas])  # [K, S, P]
    halves = _halves(influence.shape[2])  # [H, P]
    on_half = np.stack([one.values for one in deltas])[..., None] + influence @ halves.T  # [K, S, H]
    choices = _best_elsewhere(on_half)
    seeds = np.arange(len(choices))
    scored = np.arange(len(halves)) ^ 1  # of each half the other
    of_rest = np.zeros(influence.shape[1:])
    for choice, weights in zip(choices.T, halves[scored], strict=True):
        of_choice = influence[choice, seeds] * weights
        of_rest += of_choice - of_choice.mean(axis=1, keepdims=True) * weights  # each row sums to 0 again
    values = on_half[choices, seeds[:, None], scored].mean(axis=1)
    return choices, Sample(values, of_rest / len(halves), cross_fitted=len(choices) > 1)


def _halves(clusters: int) -> Floats:
    """[H, P] how much a cluster weighs in each half: the second half of a halving comes after its first."""
    draw = np.random.default_rng(0)
    found = []
    for _ in range(SPLITS):
        first = np.zeros(clusters, dtype=bool)
        first[draw.permutation(clusters)[: clusters // 2]] = True
        found += [half * (clusters / half.sum()) for half in (first, ~first)]
    return np.stack(found)
