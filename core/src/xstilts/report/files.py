"""The files of a report: the page, and its numbers for programs and papers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from math import isfinite
from typing import Final

from xstilts.plan import Plan
from xstilts.report.contents import Contents, contents
from xstilts.report.page import render
from xstilts.report.parquet import Value, to_parquet
from xstilts.report.pictures import pictures
from xstilts.report.provenance import collect
from xstilts.results import Results
from xstilts.results.primary_table import row_relation
from xstilts.results.rates import RATE_COLUMNS, tried_rates
from xstilts.results.table import Table
from xstilts.results.text import table_to_csv, to_csv, to_json, to_latex, to_markdown
from xstilts.spec import Analysis
from xstilts.statistics import Interval
from xstilts.store import Store

PAGE: Final = "report.html"
_SCORES: Final[Mapping[str, type]] = {
    "model": str,
    "intermediate": str,
    "target": str,
    "seed": int,
    "language": str,
    "metric": str,
    "value": float,
}
_INTERVAL: Final[Mapping[str, type]] = {
    "estimate": float,
    "low": float,
    "high": float,
    "standard_error": float,
    "degrees": float,
    "p_value": float,
    "covers_seeds": bool,
    "covers_items": bool,
}
_DELTAS: Final[Mapping[str, type]] = {
    "model": str,
    "intermediate": str,
    "target": str,
    "language": str,
    "flagged": bool,
    **_INTERVAL,
    "adjusted": float,
}
_PRIMARY: Final[Mapping[str, type]] = {
    "target": str,
    "intermediate": str,
    "measure": str,
    "model": str,
    "reference": str,
    "cells": str,
    **_INTERVAL,
    "adjusted": float,
    "detectable": float,
    "delta": float,
    "reference_delta": float,
    "log_odds": float,
    "log_odds_low": float,
    "log_odds_high": float,
    "bootstrap_low": float,
    "bootstrap_high": float,
    "seeds": int,
    "reference_seeds": int,
    "relation": str,
}


def report_files(
    results: Results,
    plan: Plan,
    store: Store,
    *,
    analysis: Analysis,
    titles: Mapping[str, str],
    ran: Collection[str] = (),
) -> dict[str, str | bytes]:
    """File name -> text, or bytes where it is no text; the page first.

    Args:
        results: of the experiment, whole or partial.
        plan: as for `collect`, like `store`, `titles` and `ran`.
        store: what holds the artifacts.
        analysis: the primary answer that the experiment asks for.
        titles: of the stages.
        ran: the stages that this run has done.
    """
    made = contents(results, analysis)
    tables = [made.summary, *made.primary_tables.values(), *made.tables.values()]
    named = {
        "summary": made.summary,
        **{f"primary-{cells.name.lower()}": table for cells, table in made.primary_tables.items()},
        **made.tables,
    }
    return {
        PAGE: render(made, collect(plan, store, titles=titles, ran=ran)),
        "answer.md": _answer(made),
        "results.csv": to_csv(results),
        "results.json": to_json(results, made.primary),
        **{f"{name}.parquet": _text_parquet(table) for name, table in named.items()},
        "results.parquet": to_parquet([asdict(row) for row in results.rows], _SCORES),
        "primary.parquet": to_parquet(_primary(made), _PRIMARY),
        "deltas.parquet": to_parquet(_deltas(made), _DELTAS),
        **({"rates.parquet": to_parquet(tried_rates(results), RATE_COLUMNS)} if results.rates else {}),
        "tables.md": "\n".join(map(to_markdown, tables)),
        "tables.tex": "\n".join(map(to_latex, tables)),
        **{f"{name}.csv": table_to_csv(table) for name, table in named.items()},
        **pictures(made),
    }


def _text_parquet(table: Table) -> bytes:
    """A table as it is shown, like its CSV. What is more than shown has a file of typed columns beside it."""
    titles = [column.title for column in table.columns]
    return to_parquet([dict(zip(titles, row, strict=True)) for row in table.rows], dict.fromkeys(titles, str))


def _answer(made: Contents) -> str:
    """The sentences that the page begins with, as Markdown."""
    listed = {"Contrast by contrast": made.answer.findings, "Limits": made.answer.limits}
    lists = (
        f"\n{heading}:\n\n" + "".join(f"- {line}\n" for line in lines)
        for heading, lines in listed.items()
        if lines
    )
    return "\n\n".join(made.answer.headlines) + "\n" + "".join(lists)


def _primary(made: Contents) -> list[dict[str, Value]]:
    return [
        {
            "target": row.target,
            "intermediate": row.intermediate,
            "measure": row.measure,
            "model": row.model,
            "reference": row.reference,
            "cells": row.cells.value,
            **_interval(row.points),
            "adjusted": row.adjusted,
            "detectable": _finite(row.detectable),
            "delta": row.deltas[0],
            "reference_delta": row.deltas[1] if row.reference else None,
            "log_odds": row.log_odds.estimate if row.log_odds else None,
            "log_odds_low": _finite(row.log_odds.low) if row.log_odds else None,
            "log_odds_high": _finite(row.log_odds.high) if row.log_odds else None,
            "bootstrap_low": row.bootstrap[0] if row.bootstrap else None,
            "bootstrap_high": row.bootstrap[1] if row.bootstrap else None,
            "seeds": row.seeds[0],
            "reference_seeds": row.seeds[1] if row.reference else None,
            "relation": row_relation(made.results, row),
        }
        for row in made.primary
    ]


def _deltas(made: Contents) -> list[dict[str, Value]]:
    return [
        {
            "model": one.model,
            "intermediate": one.intermediate,
            "target": one.target,
            "language": one.language,
            "flagged": one.flagged,
            **_interval(one.delta),
            "adjusted": one.adjusted,
        }
        for one in made.deltas
    ]


def _interval(of: Interval) -> dict[str, Value]:
    """Ends and degrees that are infinite are null."""
    return {name: _finite(value) if isinstance(value, float) else value for name, value in asdict(of).items()}


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
