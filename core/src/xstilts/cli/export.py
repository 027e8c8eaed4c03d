"""`xstilts export`: an experiment as a folder of files that need nothing of us any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import yaml

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
from xstilts.loading import Loaded
from xstilts.plan.show import to_json as plan_to_json
from xstilts.results import summary_table
from xstilts.results.pivot import pivot_tables
from xstilts.results.primary_table import primary_table
from xstilts.results.text import to_csv, to_json, to_latex, to_markdown
from xstilts.stage import Kind
from xstilts.store import Store

PREDICTIONS = "predictions"


def export(
    target: Target,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder; it must not be there, or be empty.")
    ],
    *,
    predictions: Annotated[
        bool, typer.Option(help="Also every prediction, in XTREME's submission form; from a store only.")
    ] = True,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Write an experiment into a folder of files.

    They are its file, its plan, scores, tables and predictions.

    predictions/MODEL/INTERMEDIATE/seed-N/ is a submission that `xstilts score` takes. Those of a cluster's experiment
    are in its store: name it with --store.

    \b
    Examples:
      xstilts export experiment.yaml my-results
      xstilts export my-experiment my-results --store s3://bucket/experiments
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            Problem(str(folder), "must be a folder that is not there yet, or empty; name another one")
        )
    loaded = load(target, Where(cluster, namespace, context, kubeconfig, results), store)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _files(loaded):
        (folder / name).write_text(text, encoding="utf-8")
    copied = _copy_predictions(loaded, loaded.store, folder) if predictions and loaded.store else 0
    written = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    if output is Output.JSON:
        print_json({"folder": str(folder), "place": loaded.place, "files": written})
        return
    typer.echo(f"{folder}: {len(written)} files from {loaded.place}")
    if loaded.results.partial:
        typer.echo(f"partial: {len(loaded.results.missing)} evaluations have no scores yet", err=True)
    if predictions and not copied:
        typer.echo(
            "without predictions: "
            + ("there are none yet" if loaded.store else "--store names where they are"),
            err=True,
        )


def _files(loaded: Loaded) -> Iterator[tuple[str, str]]:
    experiment, found, answer = loaded.experiment, loaded.results, loaded.primary
    document = experiment.model_dump(mode="json", by_alias=True, exclude_none=True)
    yield "experiment.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    yield "plan.json", json.dumps(plan_to_json(loaded.plan), indent=1) + "\n"
    yield "scores.csv", to_csv(found)
    yield "results.json", to_json(found, answer)
    tables = [summary_table(found), *pivot_tables(found)]
    if answer:
        tables.insert(1, primary_table(answer, found, experiment.spec.analysis))
    yield "tables.md", "\n".join(map(to_markdown, tables))
    yield "tables.tex", "\n".join(map(to_latex, tables))


def _copy_predictions(loaded: Loaded, store: Store, folder: Path) -> int:
    """How many files were written: of each cell those of its target."""
    copied = 0
    there = {one.key for one in loaded.plan.of_kind(Kind.EVALUATE) if store.lookup(one.key)}
    fetched: dict[str, Path] = {}
    for cell in loaded.plan.cells():
        key = loaded.plan.evaluate_key(cell)
        if key in there:
            artifact = fetched.get(key) or store.fetch(key)
            fetched[key] = artifact
            own = artifact / PREDICTIONS / cell.target
            place = folder / PREDICTIONS / cell.model / cell.intermediate / f"seed-{cell.seed}" / cell.target
            if own.is_dir():
                shutil.copytree(own, place)
                copied += sum(one.is_file() for one in place.rglob("*"))
    return copied
