"""`xstilts plan`: what would an experiment train, and what does the store already have?"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from xstilts.cli.opening import ExperimentFile, NamespaceOption, StoreOption, open_experiment
from xstilts.local.inputs import pin_inputs
from xstilts.plan import plan as plan_experiment
from xstilts.plan.show import to_json, to_text


class Output(StrEnum):
    """How the plan is printed."""

    TEXT = "text"
    JSON = "json"


def plan(
    file: ExperimentFile,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print the plan.")] = Output.TEXT,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Show the stages of an experiment by kind, which of them the store has, and what sharing them saves.

    Nothing is run or fetched.

    \b
    Examples:
      xstilts plan experiment.yaml
      xstilts plan experiment.yaml -o json | jq .counts
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    opened = open_experiment(file, store, namespace)
    planned = plan_experiment(pin_inputs(opened.experiment, file.parent, opened.store, put=False))
    cached = frozenset(stage.key for stage in planned.stages if opened.store.lookup(stage.key))
    if output is Output.JSON:
        typer.echo(json.dumps(to_json(planned, cached), indent=1))
    else:
        typer.echo(to_text(planned, cached))
