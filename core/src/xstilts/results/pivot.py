"""Results with a row a language and a column an intermediate: a table a target and model."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from xstilts.results.collapse import collapse_notes, collapsed
from xstilts.results.combinations import Estimate
from xstilts.results.main import LEAST_SEEDS, by_seeds
from xstilts.results.rows import Results
from xstilts.results.table import Column, Table, number
from xstilts.results.words import ABSENT, cell_relation, partial_words

MEANS = {"mean": "XTREME's score: the mean over languages"}


def pivot_tables(results: Results, *, ci: bool = False) -> list[Table]:
    """The tables, in the order of the file. Below the languages stands their mean, and what marks an intermediate's column."""
    scores = by_seeds(results)
    return [
        _table(results, target, model, columns, ci=ci)
        for target in results.targets
        for model in results.models
        if (
            columns := {
                name: scores[model, name, target]
                for name in results.intermediates
                if (model, name, target) in scores
            }
        )
    ]


def _table(
    results: Results, target: str, model: str, columns: dict[str, list[dict[str, float]]], *, ci: bool
) -> Table:
    languages = list(dict.fromkeys(code for seeds in columns.values() for one in seeds for code in one))

    def cell(intermediate: str, language: str) -> str:
        values = [one[language] for one in columns[intermediate] if language in one]
        return number(Estimate.of(values), ci=ci) if values else ABSENT

    means = [number(Estimate.of(fmean(one.values()) for one in seeds), ci=ci) for seeds in columns.values()]
    low = [one for one in collapsed(results) if (one.model, one.target) == (model, target)]
    counts = Counter(one.intermediate for one in low)
    marks = {
        "relation": [cell_relation(results, name, target) for name in columns],
        "collapsed": [f"{counts[name]} of {len(columns[name])}" if counts[name] else "" for name in columns],
    }
    return Table(
        title=f"{results.experiment}: {target}{partial_words(results)}",
        columns=(
            Column("model", str, "the pretrained model", numeric=False),
            Column("language", str, "XTREME's code", numeric=False),
            *(Column(name, str, "the main score after this intermediate") for name in columns),
        ),
        rows=(
            *((model, language, *(cell(name, language) for name in columns)) for language in languages),
            (model, "mean", *means),
            *((model, mark, *words) for mark, words in marks.items() if any(words)),
        ),
        notes=(seeds_note(columns, ci=ci), *collapse_notes(low)),
    )


def seeds_note(columns: dict[str, list[dict[str, float]]], *, ci: bool) -> str:
    """What stands beside the numbers."""
    most = max(len(seeds) for seeds in columns.values())
    if most < 2:
        return "One seed: nothing here tells an effect from the noise between seeds."
    if ci and most >= LEAST_SEEDS:
        return (
            "[low, high] is Student's 95 % interval over seeds. It does not cover the choice of test items."
        )
    return f"± is the standard deviation over {most} seeds or fewer."
