"""`xstilts list`: which experiments are there, and how far are they?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.output import Output, OutputOption, print_json, print_rows, say
from xstilts.cli.places import (
    RESULTS,
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    ResultsOption,
    Where,
)
from xstilts.cluster.client import names_cluster
from xstilts.standing import ExperimentStanding, age, duration


def list_experiments(
    *,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """List experiments.

    Those that were run here, if any were, else the cluster's.

    \b
    Examples:
      xstilts list
      xstilts list --cluster -A
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    where = Where(cluster, namespace, context, kubeconfig, results)
    chosen = where.chosen if where.chosen is not None or not (everywhere or namespace) else True
    local = chosen is False or (chosen is None and (bool(where.local.names()) or not names_cluster()))
    if local:
        found, words = where.local.standings(), where.local.words
        if chosen is None and not found:  # no error: there is nothing yet
            words = f"none was run here (in {where.local.folder}), and no cluster is configured"
    else:
        place = where.on_cluster()
        found = place.standings(everywhere=everywhere)
        words = f"cluster {place.client.context}" if everywhere else place.words
    if output is Output.JSON:
        print_json([one.to_json(stages=False) for one in found])
        return
    console = Console()
    if not found:
        say(console, f"no experiments: {words}")
        return
    names = ["NAMESPACE"] if everywhere else []
    titles = [*names, "NAME", "STATE", "DONE", "FAILED", "LEFT", "AGE", "BEST", "MESSAGE"]
    print_rows(console, titles, (_row(one, everywhere=everywhere) for one in found))
    if chosen is None and local:
        say(Console(stderr=True), f"these are of {words}; --cluster lists those of the cluster", "dim")


def _row(one: ExperimentStanding, *, everywhere: bool) -> list[str]:
    return [
        *([one.namespace] if everywhere else []),
        one.name,
        one.state,
        f"{one.done}/{one.total}" if one.total else "",
        str(one.failed) if one.failed else "",
        duration(one.eta_seconds) if one.eta_seconds is not None else "",
        age(one.age_seconds) if one.age_seconds is not None else "",
        one.best,
        one.message,
    ]
