"""`xstilts plan`: what would an experiment train, and what does the store already have?"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.plan.show import to_json, to_text
from xstilts.spec import Experiment, load_experiment
from xstilts.store import Store, store_root


class Output(StrEnum):
    """How the plan is printed."""

    TEXT = "text"
    JSON = "json"


def plan(
    file: Annotated[Path, typer.Argument(help="The experiment, a TransferExperiment manifest in YAML.")],
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print the plan.")] = Output.TEXT,
    store: Annotated[
        str | None,
        typer.Option(help="Store: a folder or URL. Default: $XSTILTS_STORE, else .xstilts/<store's name>."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace. Default: the file's, else default."),
    ] = None,
) -> None:
    """Show the stages of an experiment by kind, which of them the store has, and what sharing them saves.

    Nothing is run or fetched.

    \b
    Examples:
      xstilts plan experiment.yaml
      xstilts plan experiment.yaml -o json | jq .counts
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    experiment = _in_namespace(load_experiment(file), namespace)
    planned = plan_experiment(experiment)
    cached = _cached(planned, store_root(store, experiment.spec.store.name))
    if output is Output.JSON:
        typer.echo(json.dumps(to_json(planned, cached), indent=1))
    else:
        typer.echo(to_text(planned, cached))


def _in_namespace(experiment: Experiment, namespace: str | None) -> Experiment:
    if namespace is None:
        return experiment
    metadata = experiment.metadata.model_copy(update={"namespace": namespace})
    return experiment.model_copy(update={"metadata": metadata})


def _cached(planned: Plan, root: str) -> frozenset[str]:
    store = Store.open(root, planned.namespace)
    return frozenset(stage.key for stage in planned.stages if store.lookup(stage.key))
