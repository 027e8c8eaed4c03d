"""From results to samples: a measure of a model in each seed, with what each cluster of test items contributes.

Where answers by item are known (items that are right or wrong), a sample holds them; else it is made of scores, and its
interval covers seeds alone. Only languages that every evaluation of a target has been scored in are taken, so that no
difference is one of languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from xstilts.catalogue import ENGLISH
from xstilts.results.collapse import collapsed
from xstilts.results.main import Seed, scores_by_cell
from xstilts.results.rows import Answers, Evaluation, Results
from xstilts.spec.fields import BASELINE
from xstilts.statistics import POINTS, Sample, Scale, Weights, sample

Numbers = npt.NDArray[np.int64]
COINCIDENCES = 1.05  # so many times the clusters of one language parallel languages have together, at most


class Measured:
    """The samples of an experiment's results."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @cached_property
    def _answers(self) -> Mapping[tuple[str, str, str], dict[Seed, Mapping[str, Answers]]]:
        found: dict[tuple[str, str, str], dict[Seed, Mapping[str, Answers]]] = {}
        for cell, languages in self.results.answers.items():
            found.setdefault((cell.model, cell.intermediate, cell.target), {})[cell.seed] = languages
        return found

    @cached_property
    def _scores(self) -> Mapping[tuple[str, str, str], Mapping[Seed, Mapping[str, float]]]:
        return scores_by_cell(self.results)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Those that have scores, all of them in one language or more."""
        return tuple(target for target in self.results.targets if self.languages(target))

    def languages(self, target: str) -> tuple[str, ...]:
        """English first, then the others that all evaluations of a target have been scored in."""
        sets = self._language_sets(target)
        common = sets[0].intersection(*sets[1:]) if sets else set[str]()
        return tuple(sorted(common, key=lambda language: (language != ENGLISH, language)))

    def languages_left_out(self, target: str) -> tuple[str, ...]:
        """Those that only some evaluations of a target have been scored in."""
        sets = self._language_sets(target)
        return tuple(sorted(sets[0].union(*sets[1:]) - sets[0].intersection(*sets[1:]))) if sets else ()

    def _language_sets(self, target: str) -> list[set[str]]:
        return [
            set(languages)
            for (_, _, name), seeds in self._scores.items()
            if name == target
            for languages in seeds.values()
        ]

    def has_items(self, target: str) -> bool:
        """Whether the answers to a target's items are known."""
        return any(name == target for _, _, name in self._answers)

    def has_scores(self, model: str, intermediate: str, target: str) -> bool:
        """Whether a cell has scores, with or without answers."""
        return (model, intermediate, target) in self._scores

    def seeds(self, model: str, intermediate: str, target: str) -> tuple[Seed, ...]:
        """The seeds with what samples of a target are made of: answers where the target has any, else scores."""
        cells = self._answers if self.has_items(target) else self._scores
        return tuple(sorted(cells.get((model, intermediate, target), {}), key=_none_first))

    def paired_seeds(
        self, model: str, intermediate: str, target: str, without: frozenset[Evaluation] = frozenset()
    ) -> tuple[Seed, ...]:
        """The seeds of an intermediate whose `none` is there too; a deterministic `none` is that of every seed."""
        before = self.seeds(model, BASELINE, target)
        return tuple(
            seed
            for seed in self.seeds(model, intermediate, target)
            if (seed in before or before == (None,))
            and not without
            & {
                Evaluation(model, intermediate, target, seed),
                Evaluation(model, BASELINE, target, seed),
            }
        )

    def delta(
        self,
        model: str,
        intermediate: str,
        target: str,
        weights: Weights,
        scale: Scale = POINTS,
        seeds: Sequence[Seed] | None = None,
    ) -> Sample:
        """A measure after an intermediate less that of `none`, in paired seeds; in all of them where none are given.

        Raises:
            ValueError: no seed has both, or log-odds are asked for and items are not known.
        """
        paired = self.paired_seeds(model, intermediate, target) if seeds is None else tuple(seeds)
        if not paired:
            raise ValueError(
                f"{model} / {intermediate} / {target} must have a seed in common with its none, has not"
            )
        deterministic = self.seeds(model, BASELINE, target) == (None,)
        before = (None,) * len(paired) if deterministic else paired
        return self.measure(model, intermediate, target, weights, scale, paired) - self.measure(
            model, BASELINE, target, weights, scale, before
        )

    def measure(
        self,
        model: str,
        intermediate: str,
        target: str,
        weights: Weights,
        scale: Scale,
        seeds: Sequence[Seed],
    ) -> Sample:
        """A measure in some seeds, all of which must be there.

        Raises:
            ValueError: log-odds are asked for and items are not known.
        """
        cell = (model, intermediate, target)
        if not self.has_items(target):
            if scale is not POINTS:
                raise ValueError(f"log-odds must be of items that are right or wrong, which {target} has not")
            scores = self._scores[cell]
            return Sample.of_scores([_weighted(scores[seed], weights) for seed in seeds])
        answers = self._answers[cell]
        right = {
            language: np.stack([_digits(answers[seed][language].right) for seed in seeds])
            for language in weights
        }
        made = sample(right, _clusters(answers[seeds[0]], weights), weights, scale)
        return made if made.clusters > 1 else Sample.of_scores(made.values.tolist())  # one says nothing

    def mean_score(
        self, model: str, intermediate: str, target: str, language: str, seed: Seed
    ) -> float | None:
        """The main score in one language and seed, in percent."""
        return self._scores.get((model, intermediate, target), {}).get(seed, {}).get(language)

    @cached_property
    def collapsed(self) -> tuple[Evaluation, ...]:
        """The evaluations that are no better than a blind guess: see `xstilts.results.collapse`."""
        return collapsed(self.results, self._scores)


def mean_of(languages: Sequence[str]) -> Weights:
    """XTREME's score: the mean over all languages, English included."""
    return dict.fromkeys(languages, 1 / len(languages))


def _weighted(scores: Mapping[str, float], weights: Weights) -> float:
    return sum(weight * scores[language] for language, weight in weights.items())


def _none_first(seed: Seed) -> int:
    return -1 if seed is None else seed


@lru_cache(maxsize=4096)
def _digits(right: str) -> npt.NDArray[np.bool_]:
    """[N] from a digit an item."""
    digits: npt.NDArray[np.bool_] = np.frombuffer(right.encode("ascii"), dtype=np.uint8) == ord("1")
    return digits


def _clusters(languages: Mapping[str, Answers], weights: Weights) -> dict[str, Numbers]:
    """The clusters' numbers; where the languages neither share them nor are parallel, each has clusters of its own."""
    own = tuple(languages[code].clusters for code in weights)
    shared = all(languages[code].shared for code in weights)
    return dict(zip(weights, (_shared_clusters if shared else _common_clusters)(own), strict=True))


@lru_cache(maxsize=256)
def _shared_clusters(languages: tuple[tuple[int, ...], ...]) -> tuple[Numbers, ...]:
    """Numbers that are those of the whole task, without those that no language here has."""
    own = [np.array(numbers, dtype=np.int64) for numbers in languages]
    _, numbers = np.unique(np.concatenate(own), return_inverse=True)
    return tuple(np.split(numbers, np.cumsum([len(of) for of in own])[:-1]))


@lru_cache(maxsize=256)
def _common_clusters(languages: tuple[tuple[int, ...], ...]) -> tuple[Numbers, ...]:
    """A language's numbers each: the same ones where the languages are parallel.

    They are where equal items hang together in all of them, but for texts that coincide in one language alone: different
    sentences with one translation, or PAWS-X's rows without any (`NS`). Items are of one cluster then where they are in every
    language. What is not parallel falls into many more clusters so.
    """
    own = [np.array(numbers, dtype=np.int64) for numbers in languages]
    most = max(int(numbers.max()) + 1 for numbers in own)
    if len({len(numbers) for numbers in own}) == 1:
        together, common = np.unique(np.stack(own), axis=1, return_inverse=True)
        if together.shape[1] <= COINCIDENCES * most:
            return (common.reshape(-1),) * len(own)
    offsets = accumulate((int(numbers.max()) + 1 for numbers in own), initial=0)
    return tuple(numbers + offset for numbers, offset in zip(own, offsets, strict=False))


def score_delta(
    measured: Measured, model: str, intermediate: str, target: str, seeds: Sequence[Seed] | None = None
) -> Sample:
    """The delta of XTREME's score, in paired seeds."""
    return measured.delta(model, intermediate, target, mean_of(measured.languages(target)), POINTS, seeds)


def helps(delta: float) -> bool:
    """Whether a mean delta is above 0: a tie is no gain, whatever the order of its sums leaves of it."""
    return round(delta, 9) > 0


def common_seeds(measured: Measured, model: str, names: Sequence[str], target: str) -> tuple[Seed, ...]:
    """The seeds in which all of some intermediates have a delta."""
    first, *others = (measured.paired_seeds(model, name, target) for name in names)
    return tuple(seed for seed in first if all(seed in of_name for of_name in others))
