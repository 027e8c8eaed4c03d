"""Results as JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isfinite
from typing import Any

from xstilts.catalogue.overlap import TrainingOverlap
from xstilts.results.combinations import Combination, Estimate, combinations
from xstilts.results.primary import PrimaryRow
from xstilts.results.rates import RATE_COLUMNS, rates_document, tried_rates
from xstilts.results.rows import Results, ScoreRow
from xstilts.results.table import Table

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",  # noqa: RUF001 - the en dash of absent numbers
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "<": "$<$",  # TeX's own font encoding has inverted marks and a dash in the place of these three
    ">": "$>$",
    "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def to_json(results: Results, primary: Sequence[PrimaryRow] = ()) -> str:
    """Everything: the tidy scores, the rows of the tables with full precision, and what is missing."""
    document = {
        "experiment": results.experiment,
        "partial": results.partial,
        "missing": [asdict(evaluation) for evaluation in results.missing],
        "combinations": list(map(_plain, combinations(results))),
        "primary": [_finite(asdict(row)) for row in primary],
        "rates": rates_document(results),
        "scores": [asdict(row) for row in results.rows],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def to_csv(results: Results) -> str:
    """The tidy scores, one number a line, for programs; a deterministic score has no seed."""
    return _tidy([field.name for field in fields(ScoreRow)], map(asdict, results.rows))


def rates_to_csv(results: Results) -> str:
    """Every learning rate that sweeps have tried, one a line, with its score on English dev and whether it was chosen."""
    return _tidy(list(RATE_COLUMNS), tried_rates(results))


def _tidy(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A line with the names, and one a row."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def table_to_csv(table: Table) -> str:
    """A table as it is shown, a row a line; its notes are elsewhere."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([column.title for column in table.columns])
    writer.writerows(table.rows)
    return buffer.getvalue()


def to_markdown(table: Table) -> str:
    """A pipe table with its title and notes."""

    def line(texts: Iterable[str]) -> str:
        return "| " + " | ".join(text.replace("|", r"\|") for text in texts) + " |"

    head = line(column.title for column in table.columns)
    rule = line("---:" if column.numeric else "---" for column in table.columns)
    notes = "".join(f"\n- {note}" for note in table.notes)
    return "\n".join([f"**{table.title}**", "", head, rule, *map(line, table.rows)]) + f"\n{notes}\n"


def to_latex(table: Table) -> str:
    """A `tabular` for the booktabs package, with title and notes as comments."""

    def line(texts: Iterable[str]) -> str:
        return " & ".join(map(_latex, texts)) + r" \\"

    comments = [f"% {text}" for text in (table.title, *table.notes)]
    layout = "".join("r" if column.numeric else "l" for column in table.columns)
    return (
        "\n".join(
            [
                *comments,
                rf"\begin{{tabular}}{{{layout}}}",
                r"\toprule",
                line(column.title for column in table.columns),
                r"\midrule",
                *map(line, table.rows),
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )
        + "\n"
    )


def _latex(text: str) -> str:
    return re.sub(".", lambda match: _LATEX.get(match[0], match[0]), text)


def _finite(value: Any) -> Any:
    """For JSON, which has no infinity: null, where an interval or its degrees of freedom have no end."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def _plain(value: Any) -> Any:
    """A combination and its parts for JSON: of an estimate the mean and the spread, of the overlap its name."""
    match value:
        case Combination():
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case Estimate():
            return {"mean": value.mean, "spread": value.spread}
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case TrainingOverlap():
            return value.name.lower()
        case _:
            return value
