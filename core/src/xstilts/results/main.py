"""Main scores by cell, seed and language, and what is made of them over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from xstilts.catalogue import ENGLISH
from xstilts.results.rows import Results
from xstilts.scoring import main_score

Names = tuple[str, str, str]  # model, intermediate, target
Seed = int | None
CONFIDENCE = 0.95
LEVEL = 0.05  # of a corrected p-value, below which a contrast is found
LEAST_SEEDS = 3


def scores_by_cell(results: Results) -> dict[Names, dict[Seed, dict[str, float]]]:
    """(model, intermediate, target) -> seed -> language -> its main score (XTREME's), English first."""
    numbers: dict[Names, dict[Seed, dict[str, dict[str, float]]]] = {}
    for row in results.rows:
        seeds = numbers.setdefault((row.model, row.intermediate, row.target), {})
        seeds.setdefault(row.seed, {}).setdefault(row.language, {})[row.metric] = row.value
    return {
        names: {
            seed: {
                language: main_score(results.targets[names[2]], languages[language])
                for language in sorted(languages, key=lambda code: (code != ENGLISH, code))
            }
            for seed, languages in seeds.items()
        }
        for names, seeds in numbers.items()
    }


def by_seeds(results: Results) -> dict[Names, list[dict[str, float]]]:
    """The same with a list of the seeds."""
    return {names: list(seeds.values()) for names, seeds in scores_by_cell(results).items()}


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval (95 %) of a mean over seeds, by Student's t; None of fewer than three, which say too little."""
    from scipy.special import stdtrit  # noqa: PLC0415 - most tables do without

    if len(values) < LEAST_SEEDS:
        return None
    count = len(values)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * stdev(values) / sqrt(count)
    return fmean(values) - reach, fmean(values) + reach
