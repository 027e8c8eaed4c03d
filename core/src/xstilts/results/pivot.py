"""Results with a row a language and a column an intermediate: a table a target and model."""

from __future__ import annotations

from statistics import fmean

from xstilts.results.main import LEAST_SEEDS, by_seeds, shown
from xstilts.results.rows import Results
from xstilts.results.table import Column, Table
from xstilts.results.words import ABSENT

MEANS = {"mean": "XTREME's score: the mean over languages"}


def pivot_tables(results: Results, *, ci: bool = False) -> list[Table]:
    """The tables, in the order of the file; the last row is the mean over languages."""
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
        return shown(values, ci=ci) if values else ABSENT

    means = [shown([fmean(one.values()) for one in seeds], ci=ci) for seeds in columns.values()]
    rows = [(model, language, *(cell(name, language) for name in columns)) for language in languages]
    return Table(
        title=f"{results.experiment}: {target}",
        columns=(
            Column("model", str, "the pretrained model", numeric=False),
            Column("language", str, "XTREME's code", numeric=False),
            *(Column(name, str, "the main score after this intermediate") for name in columns),
        ),
        rows=(*rows, (model, "mean", *means)),
        notes=(seeds_note(columns, ci=ci),),
    )


def seeds_note(columns: dict[str, list[dict[str, float]]], *, ci: bool) -> str:
    """What stands beside the numbers."""
    most = max(len(seeds) for seeds in columns.values())
    if most < 2:
        return "One seed: nothing here tells an effect from the noise between seeds."
    if ci and most >= LEAST_SEEDS:
        return "[low, high] is Student's 95 % interval over seeds; the choice of test items is not in it."
    return f"± is the standard deviation over {most} seeds or fewer."
