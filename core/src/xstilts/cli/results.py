"""`xstilts results`: the table of an experiment, from what its evaluations have left in the store."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.opening import ExperimentFile, NamespaceOption, StoreOption, open_experiment
from xstilts.local.inputs import pin_inputs
from xstilts.plan import plan
from xstilts.results import gather, summary_table
from xstilts.results.primary import primary
from xstilts.results.primary_table import primary_table
from xstilts.results.table import Table
from xstilts.results.terminal import show
from xstilts.results.text import to_csv, to_json, to_latex, to_markdown


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"


def results(
    file: ExperimentFile,
    *,
    output: Annotated[Format, typer.Option("--output", "-o", help="Form of the results.")] = Format.TABLE,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Show an experiment's results, as far as its evaluations are done.

    A second table has the primary answer that the file fixes (spec.analysis), where items are right or wrong.
    The table has a row a model, intermediate and target, over languages and seeds; `-o csv` has every single number,
    and `-o json` both. While evaluations are missing, the title says partial and the notes name them.

    \b
    Examples:
      xstilts results experiment.yaml
      xstilts results experiment.yaml -o csv > scores.csv
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart
    opened = open_experiment(file, store, namespace)
    experiment = pin_inputs(opened.experiment, file.parent, opened.store, put=False)
    found = gather(experiment, plan(experiment), opened.store)
    answer = primary(found, experiment.spec.analysis)
    tables = [summary_table(found)]
    if answer:
        tables.append(primary_table(answer, found, experiment.spec.analysis))
    match output:
        case Format.TABLE:
            for table in tables:
                print_table(table)
        case Format.JSON:
            typer.echo(to_json(found, answer), nl=False)
        case Format.CSV:
            typer.echo(to_csv(found), nl=False)
        case Format.MARKDOWN:
            typer.echo("\n".join(map(to_markdown, tables)), nl=False)
        case Format.LATEX:
            typer.echo("\n".join(map(to_latex, tables)), nl=False)


def print_table(table: Table) -> None:
    """Print a table of results to standard output."""
    show(Console(), table)
