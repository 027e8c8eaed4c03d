"""`xstilts run`: a whole experiment on this machine, from its file to its table."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.opening import ExperimentFile, NamespaceOption, Opened, StoreOption, open_experiment
from xstilts.cli.output import Output, OutputOption, print_json, say, size
from xstilts.cli.results import print_table
from xstilts.errors import EXIT_FAILED, EXIT_SIGNALLED
from xstilts.local.display import Outlet
from xstilts.local.ignored import ignored_fields
from xstilts.local.place import LocalPlace
from xstilts.local.record import Recorder, RunRecord
from xstilts.local.report import write_report
from xstilts.local.run import Ended, LocalRun
from xstilts.results import gather, summary_table
from xstilts.standing import duration


def run(
    file: ExperimentFile,
    *,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    parallelism: Annotated[
        int, typer.Option(min=1, help="So many stages at once, each with spec.resources.cpu threads.")
    ] = 1,
    results: Annotated[Path, typer.Option(help="Folder for the report and the logs.")] = Path("results"),
    output: OutputOption = Output.TEXT,
) -> None:
    """Run an experiment on this machine.

    What the store holds already is not run again.
    Ctrl-C, or the end of the terminal (but for nohup), saves what is running; the same command continues. A stage that
    fails stops only what depends on it. At the end the table is printed, and the report is in results/NAME/report.html.
    Exit codes: 0 everything has its scores; 1 something failed; 64 the file is wrong; 130 interrupted.

    \b
    Examples:
      xstilts run experiment.yaml
      xstilts run experiment.yaml --store s3://bucket/experiments --parallelism 2
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart
    opened = open_experiment(file, store, namespace)
    experiment = opened.experiment
    console = Outlet()
    for field in ignored_fields(experiment):
        console.print(f"{field} is for a cluster and is ignored here", markup=False, highlight=False)
    folder = results / experiment.metadata.name
    record = _record(opened, file, parallelism)
    with Recorder(folder, record, tell=partial(say, console)) as recorder:
        local = LocalRun(opened.store, opened.root, console=console, folder=folder, recorder=recorder)
        ended = local.run(experiment, file.parent, parallelism=parallelism)
    page = None if ended.interrupted else write_report(ended, opened.store, folder)
    if output is Output.JSON:
        standing = LocalPlace(results).standing(experiment.metadata.name)
        print_json(standing.to_json(stages=True) | {"report": str(page) if page else None})
    elif page:
        print_table(summary_table(gather(ended.experiment, ended.plan, opened.store)))
        typer.echo(f"report: {page}")
    _tell(ended, console)
    if ended.interrupted:
        raise typer.Exit(EXIT_SIGNALLED)
    if not ended.complete:
        raise typer.Exit(EXIT_FAILED)


def _record(opened: Opened, file: Path, parallelism: int) -> RunRecord:
    metadata = opened.experiment.metadata
    return RunRecord(
        name=metadata.name,
        namespace=metadata.namespace or "default",
        file=str(file.absolute()),
        store=opened.root if "://" in opened.root else str(Path(opened.root).absolute()),
        parallelism=parallelism,
        pid=os.getpid(),
        started=time.time(),
    )


def _tell(ended: Ended, console: Console) -> None:
    """Where the time went, and what failed and why, with the end of its log."""
    tell = partial(say, console)
    where = ", ".join(f"{group} {seconds:.0f}" for group, seconds in ended.seconds_by_group().items())
    tell(f"run seconds: {ended.wall_seconds:.0f}" + (f" ({where})" if where else ""))
    if ended.dropped:
        tell(f"dropped the weights of {ended.dropped} trainings, {size(ended.freed)} (spec.store.keep)")
    if ended.kept_by:
        tell(f"weights that may go have stayed, until the next run: {ended.kept_by}")
    for failure in ended.failures:
        tell(f"failed: {failure.title}: {failure.reason}")
        for line in failure.last_lines:
            tell(f"    {line}")
        tell(f"    (all of it: {failure.log})")
    for title in ended.blocked:
        tell(f"not run, since what it needs failed: {title}")
    if ended.interrupted:
        tell(f"interrupted after {duration(ended.wall_seconds)}; the same command continues")
