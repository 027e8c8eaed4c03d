"""All that a report says of results, made once for the page and the files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xstilts.report.answer import Answer, answer
from xstilts.report.charts import Chart, Heatmap, forests, heatmaps, language_bars, seed_spread
from xstilts.report.tables import report_tables
from xstilts.results import Results, summary_table
from xstilts.results.measured import Measured
from xstilts.results.primary import Cells, PrimaryRow, primary
from xstilts.results.primary_table import primary_table
from xstilts.results.robustness import LanguageDelta, language_deltas
from xstilts.results.table import Table
from xstilts.spec import Analysis


@dataclass(frozen=True)
class Contents:
    """What the page shows, from the answer to the last table.

    Attributes:
        results: what it is of.
        answer: in sentences.
        primary: the rows of the primary answer, and their tables by the cells that they are over.
        summary: the table of scores.
        tables: the others, by name.
        deltas: by language.
        heatmaps, forests, bars, seeds: the figures.
    """

    results: Results
    answer: Answer
    primary: tuple[PrimaryRow, ...]
    primary_tables: Mapping[Cells, Table]
    summary: Table
    tables: Mapping[str, Table]
    deltas: tuple[LanguageDelta, ...]
    heatmaps: tuple[Heatmap, ...]
    forests: tuple[Chart, ...]
    bars: tuple[Chart, ...]
    seeds: tuple[Chart, ...]


def contents(results: Results, analysis: Analysis) -> Contents:
    """The contents of a report over some results, whole or partial."""
    measured = Measured(results)
    rows = primary(results, analysis)
    by_cells = {cells: [row for row in rows if row.cells is cells] for cells in Cells}
    deltas = language_deltas(measured)
    tables = {
        cells: primary_table(of_cells, results, analysis) for cells, of_cells in by_cells.items() if of_cells
    }
    if not tables and results.rows:
        unanswered = primary_table([], results, analysis)
        tables = {Cells.ALL: unanswered} if unanswered.rows else {}
    return Contents(
        results=results,
        answer=answer(rows, results, analysis),
        primary=tuple(rows),
        primary_tables=tables,
        summary=summary_table(results),
        tables=report_tables(measured),
        deltas=tuple(deltas),
        heatmaps=tuple(heatmaps(results)),
        forests=tuple(forests(results, deltas)),
        bars=tuple(language_bars(results)),
        seeds=tuple(seed_spread(measured)),
    )
