"""`xstilts results`: the table of an experiment, from what its evaluations have left."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.loaded import load
from xstilts.cli.opening import StoreOption
from xstilts.cli.places import (
    RESULTS,
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    ResultsOption,
    Target,
    Where,
)
from xstilts.loading import Loaded
from xstilts.results import summary_table
from xstilts.results.pivot import pivot_tables
from xstilts.results.primary_table import primary_table
from xstilts.results.rates_table import rates_table
from xstilts.results.table import Table
from xstilts.results.terminal import show
from xstilts.results.text import rates_to_csv, to_csv, to_json, to_latex, to_markdown


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"


def results(
    target: Target,
    *,
    output: Annotated[Format, typer.Option("--output", "-o", help="Form of the results.")] = Format.TABLE,
    pivot: Annotated[
        bool,
        typer.Option(
            "--pivot",
            help="One row for each language, one column for each intermediate; not with -o csv or json.",
        ),
    ] = False,
    ci: Annotated[
        bool,
        typer.Option("--ci", help="95 % intervals over seeds, instead of ±; not with -o csv or json."),
    ] = False,
    rates: Annotated[
        bool, typer.Option("--rates", help="The learning rates that sweeps have chosen, instead of scores.")
    ] = False,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Show an experiment's results so far.

    The table has one row for each model, intermediate and target, over languages and seeds. A second table has the primary
    answer, which the file fixes (spec.analysis). `-o csv` has every single number; `-o json` has both, and what sweeps have
    chosen. While evaluations are missing, the title says partial and the notes name them. Results of a cluster come from its
    stages' statuses, without the primary answer and the rates; with --store they come from its store, with both.

    \b
    Examples:
      xstilts results experiment.yaml
      xstilts results my-experiment --pivot --ci
      xstilts results experiment.yaml -o csv > scores.csv
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart
    _check(output, {"--pivot": pivot, "--ci": ci})
    loaded = load(target, Where(cluster, namespace, context, kubeconfig, results), store)
    found = loaded.results
    if rates and not found.rates:
        typer.echo(_no_rates(loaded), err=True)
    elif not rates and not found.rows:
        typer.echo(
            f"no scores yet: {loaded.place} has none of its {len(found.missing)} evaluations", err=True
        )
    match output:
        case Format.JSON:
            typer.echo(to_json(found, loaded.primary), nl=False)
        case Format.CSV:
            typer.echo(rates_to_csv(found) if rates else to_csv(found), nl=False)
        case Format.TABLE:
            tables = _tables(loaded, pivot=pivot, ci=ci, rates=rates) if rates or found.rows else []
            for number, table in enumerate(tables):
                typer.echo("\n" if number else "", nl=False)
                print_table(table)
        case Format.MARKDOWN | Format.LATEX:
            written = to_markdown if output is Format.MARKDOWN else to_latex
            tables = _tables(loaded, pivot=pivot, ci=ci, rates=rates)
            typer.echo("\n".join(map(written, tables)), nl=False)


def _tables(loaded: Loaded, *, pivot: bool, ci: bool, rates: bool) -> list[Table]:
    """The tables that are asked for; none where there is nothing to show."""
    found = loaded.results
    if rates:
        return [rates_table(found)] if found.rates else []
    if pivot:
        return pivot_tables(found, ci=ci)
    answer = [primary_table(loaded.primary, found, loaded.experiment.spec.analysis)] if loaded.primary else []
    return [summary_table(found, ci=ci), *answer]


def _check(output: Format, laid_out: Mapping[str, bool]) -> None:
    """Refuse options that lay out tables where none is printed: they would be ignored in silence.

    Raises:
        typer.BadParameter: one is given.
    """
    for option, given in laid_out.items():
        if given and output in {Format.CSV, Format.JSON}:
            sentence = f"must not be said with -o {output}, which has every number and no table; leave one of them out"
            raise typer.BadParameter(sentence, param_hint=option)


def _no_rates(loaded: Loaded) -> str:
    """Why there are no chosen rates, and what to do."""
    if not loaded.experiment.spec.training.sweeps:
        return "no rates: the experiment has no sweep (spec.training.sweep), so each training has one learning rate"
    if loaded.store is None:
        return f"no rates: --store must name the experiment's store, since {loaded.place} does not hold them"
    return "no rates yet: nothing that begins from a sweep is done"


def print_table(table: Table) -> None:
    """Print a table of results to standard output."""
    show(Console(), table)
