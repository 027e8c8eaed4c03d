"""Main scores by evaluation and language, and what is made of them over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

from xstilts.catalogue import ENGLISH
from xstilts.results.rows import Evaluation, Results
from xstilts.scoring import main_score

Names = tuple[str, str, str]  # model, intermediate, target
CONFIDENCE = 0.95
LEAST_SEEDS = 3
ABSENT = "–"  # noqa: RUF001 - an en dash stands for what has no score


def main_scores(results: Results) -> dict[Evaluation, dict[str, float]]:
    """Evaluation -> language -> its main score (XTREME's), English first, in the order of the rows."""
    numbers: dict[Evaluation, dict[str, dict[str, float]]] = {}
    for row in results.rows:
        cell = Evaluation(row.model, row.intermediate, row.target, row.seed)
        numbers.setdefault(cell, {}).setdefault(row.language, {})[row.metric] = row.value
    return {
        cell: {
            language: main_score(results.targets[cell.target], languages[language])
            for language in sorted(languages, key=lambda code: (code != ENGLISH, code))
        }
        for cell, languages in numbers.items()
    }


def by_seeds(scores: dict[Evaluation, dict[str, float]]) -> dict[Names, list[dict[str, float]]]:
    """The same with the seeds of a model, intermediate and target together."""
    found: dict[Names, list[dict[str, float]]] = {}
    for cell, languages in scores.items():
        found.setdefault((cell.model, cell.intermediate, cell.target), []).append(languages)
    return found


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval (95 %) of a mean over seeds, by Student's t; None of fewer than three, which say too little."""
    from scipy.stats import t  # noqa: PLC0415 - takes a second, and most tables do without

    if len(values) < LEAST_SEEDS:
        return None
    count = len(values)
    reach = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * stdev(values) / sqrt(count)
    return fmean(values) - reach, fmean(values) + reach


def shown(values: Sequence[float], *, ci: bool) -> str:
    """The mean with its standard deviation over seeds, or with its interval."""
    mean = f"{fmean(values):z.1f}"
    if len(values) < 2:
        return mean
    interval = t_interval(values) if ci else None
    if interval is None:
        return f"{mean} ±{stdev(values):.1f}"
    return f"{mean} [{interval[0]:z.1f}, {interval[1]:z.1f}]"
