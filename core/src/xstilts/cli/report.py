"""`xstilts report`: the report of an experiment again, and a submission to XTREME."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.loaded import load
from xstilts.cli.opening import StoreOption
from xstilts.cli.output import Output, OutputOption, print_json
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
from xstilts.errors import Problem, UserError
from xstilts.local.report import write_files
from xstilts.local.titles import title
from xstilts.report import PAGE, report_files
from xstilts.report.submission import RECORD, Submission, write_submission

SUBMISSION = "submission"


def report(
    target: Target,
    *,
    submission: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL/INTERMEDIATE/SEED", help="Also the folder of a submission to XTREME, of these."
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Write the report: one HTML page, its tables and its charts.

    The page needs no network; beside it are the tables as CSV, Markdown, LaTeX and Parquet, and the charts as SVG. It is over the evaluations that the store holds; while some are missing, it says partial. It is written to
    results/NAME, as `xstilts run` does at its end. Of a cluster's experiment, --store names its store.

    \b
    Examples:
      xstilts report experiment.yaml
      xstilts report experiment.yaml --submission xlmr-large/mnli/1
      xstilts report experiment.yaml -o json | jq -r .files[]
    """  # noqa: D301 - `\b` is the mark that keeps the lines below it apart
    loaded = load(target, Where(cluster, namespace, context, kubeconfig, results), store)
    if loaded.store is None:
        raise UserError(
            Problem(
                "--store", f"must name the experiment's store: a report is made of it, not of {loaded.place}"
            )
        )
    folder = results / loaded.experiment.metadata.name
    files = report_files(
        loaded.results,
        loaded.plan,
        loaded.store,
        analysis=loaded.experiment.spec.analysis,
        titles={one.key: title(one) for one in loaded.plan.stages},
    )
    write_files(files, folder)
    missing = len(loaded.results.missing)
    made = None
    if submission is not None:
        model, intermediate, seed = _parts(submission)
        made = write_submission(loaded.plan, loaded.store, model, intermediate, seed, folder / SUBMISSION)
    if output is Output.JSON:
        document = {
            "name": loaded.experiment.metadata.name,
            "report": str(folder / PAGE),
            "files": sorted(str(folder / name) for name in files),
            "missing": missing,
            "submission": made and {"folder": str(folder / SUBMISSION), **made.to_json()},
        }
        print_json(document)
        return
    typer.echo(f"report: {folder / PAGE}")
    if missing:
        typer.echo(f"partial: {missing} evaluations have no scores yet", err=True)
    if made:
        typer.echo(f"submission: {folder / SUBMISSION}, {len(made.files)} files")
        _tell(made, folder)


def _parts(submission: str) -> tuple[str, str, int]:
    match submission.split("/"):
        case [model, intermediate, seed] if seed.isascii() and seed.isdecimal():
            return model, intermediate, int(seed)
        case _:
            raise UserError(Problem("--submission", f"must be MODEL/INTERMEDIATE/SEED, was {submission!r}"))


def _tell(made: Submission, folder: Path) -> None:
    """What keeps it from being uploaded as it is."""
    if made.complete:
        return
    parts = [f"no {name}" for name in made.missing_tasks]
    parts += [f"{name} without {' '.join(codes)}" for name, codes in made.missing_languages.items()]
    parts += [f"{name} of a dev split" for name in made.not_test]
    typer.echo(f"not all of XTREME: {'; '.join(parts)} (see {folder / RECORD})", err=True)
