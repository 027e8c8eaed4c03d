"""The table of results with intervals over seeds in the place of standard deviations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from xstilts.results.combinations import Combination, Measures, combinations
from xstilts.results.main import Names, Seed, scores_by_cell, t_interval
from xstilts.results.rows import Results
from xstilts.results.table import Column, Table, columns_of, summary_table
from xstilts.results.words import ABSENT
from xstilts.spec.fields import BASELINE

Measure = Callable[[Measures], float | None]
Seeds = dict[Seed, Measures]

# Column -> the measure, and whether the column has its difference to none.
_MEASURED: Mapping[str, tuple[Measure, bool]] = {
    "score": (lambda one: one.score, False),
    "delta": (lambda one: one.score, True),
    "English": (lambda one: one.english, False),
    "zero-shot": (lambda one: one.zero_shot, False),
    "zero-shot delta": (lambda one: one.zero_shot, True),
    "gap": (lambda one: one.gap, False),
}
NOTE = (
    "[low, high] is Student's 95 % interval over seeds, where there are three or more, else ± is as without --ci; the choice of test items is not in it "
    "(in the primary answer it is), and nothing is corrected for how many there are."
)


def interval_table(results: Results) -> Table:
    """As `summary_table`, with intervals."""
    seeds = {
        names: {seed: Measures.of(languages) for seed, languages in of_cell.items()}
        for names, of_cell in scores_by_cell(results).items()
    }
    plain = summary_table(results)
    combined = combinations(results)
    columns = tuple(_column(column, seeds) for column in columns_of(combined))
    rows = tuple(tuple(column.text(row) for column in columns) for row in combined)
    return replace(plain, columns=columns, rows=rows, notes=(*plain.notes, NOTE))


def _column(column: Column[Combination], seeds: Mapping[Names, Seeds]) -> Column[Combination]:
    if column.title not in _MEASURED:
        return column
    measure, is_delta = _MEASURED[column.title]

    def text(row: Combination) -> str:
        plain = column.text(row)
        if plain == ABSENT:  # as the delta of none, which is no number and not one that is sure
            return plain
        own = seeds[row.model, row.intermediate, row.target]
        none = seeds.get((row.model, BASELINE, row.target), {})
        values = _values(own, none if is_delta else None, measure)
        interval = t_interval(values)
        if interval is None:
            return plain
        sign = "+" if is_delta or column.title == "gap" else ""
        return f"{plain.partition(' ±')[0]} [{interval[0]:{sign}z.1f}, {interval[1]:{sign}z.1f}]"

    return replace(column, text=text)


def _values(own: Seeds, none: Seeds | None, measure: Measure) -> list[float]:
    """A number a seed: the measure, or its difference to that of `none`."""
    found = []
    for seed, one in own.items():
        value = measure(one)
        if none is not None:
            before = none.get(seed, none.get(None))
            less = measure(before) if before else None
            value = None if value is None or less is None else value - less
        if value is not None:
            found.append(value)
    return found
