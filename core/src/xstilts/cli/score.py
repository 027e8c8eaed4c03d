"""`xstilts score`: XTREME's scores of a folder of predictions."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli.output import print_json
from xstilts.scoring.xtreme import GROUPS, XtremeScores, score_submission


class Format(StrEnum):
    """How scores are printed."""

    TABLE = "table"
    JSON = "json"


def score(
    *,
    predictions: Annotated[
        Path, typer.Option(help="Submission folder: <task>/test-<language>.tsv or .json.")
    ],
    labels: Annotated[Path, typer.Option(help="Label folder of the same form.")],
    output: Annotated[Format, typer.Option("--output", "-o", help="Form of the scores.")] = Format.TABLE,
) -> None:
    """Score an XTREME submission, as XTREME's own script does.

    It scores every task, language and group, and the whole. A task counts if predictions and labels both have its folder.
    F1 of POS and NER is that of seqeval 0.0.12, with token accuracy beside it. Remarks go to standard error.

    \b
    Examples:
      xstilts score --predictions my-submission --labels labels
      xstilts score --predictions my-submission --labels labels -o json
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart
    scores = score_submission(predictions, labels)
    for note in scores.notes:
        typer.echo(f"note: {note}", err=True)
    if output is Format.JSON:
        print_json(scores.to_json())
    else:
        console = Console()
        for table in _tables(scores):
            console.print(table)


def _tables(scores: XtremeScores) -> list[Table]:
    """The summary, then a table a task with a row a language."""
    summary = Table(title="XTREME", title_justify="left")
    summary.add_column("group")
    summary.add_column("task")
    summary.add_column("score", justify="right")
    groups = scores.groups
    for group, members in GROUPS.items():
        for name in filter(scores.tasks.__contains__, members.tasks):
            partial = " (partial)" if name in scores.missing else ""
            summary.add_row(members.title, f"{name}{partial}", f"{scores.main(name):.1f}")
        if group in groups:
            summary.add_row(members.title, "mean", f"{groups[group]:.1f}", style="bold", end_section=True)
    if scores.overall is not None:
        summary.add_row("overall", "", f"{scores.overall:.1f}", style="bold")
    return [summary, *(_task_table(scores, task) for task in scores.tasks)]


def _task_table(scores: XtremeScores, task: str) -> Table:
    metrics = scores.tasks[task]
    table = Table(title=task, title_justify="left")
    table.add_column("language")
    for metric in metrics:
        table.add_column(metric, justify="right")
    for language in sorted(next(iter(metrics.values()))):
        table.add_row(language, *(f"{values[language]:.1f}" for values in metrics.values()))
    table.add_section()
    table.add_row("mean", *(f"{scores.average(task, metric):.1f}" for metric in metrics), style="bold")
    return table
