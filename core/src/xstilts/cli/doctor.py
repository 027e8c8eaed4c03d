"""`xstilts doctor`: is everything there that experiments need?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.opening import StoreOption
from xstilts.cli.output import STYLES, Output, OutputOption, print_json, say
from xstilts.cli.places import (
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Where,
)
from xstilts.cluster.checks import Check, Verdict, cluster_checks
from xstilts.errors import EXIT_FAILED, UserError
from xstilts.local import checks as local
from xstilts.spec import Experiment, load_experiment
from xstilts.store import store_root


def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="An experiment that is to run there.")
    ] = None,
    *,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Check what experiments need, on this machine and on the cluster.

    With --local or --cluster, only on one of them. On the cluster it checks that the API server answers, the CRDs, your rights,
    the operator, GPUs, store and queue. Each line that is not ok says what to do. Exit code 1 if one has failed.

    \b
    Examples:
      xstilts doctor
      xstilts doctor experiment.yaml --cluster -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    experiment = load_experiment(file) if file else None
    where = Where(cluster, namespace, context, kubeconfig)
    made: list[Check] = []
    console = Console()
    for check in _checks(experiment, where, store):
        made.append(check)
        if output is Output.TEXT:
            say(
                console,
                f"{check.verdict.value:<8} {check.name}: {check.found}",
                STYLES.get(check.verdict.value, ""),
            )
            if check.remedy:
                say(console, f"         do: {check.remedy}")
    if output is Output.JSON:
        print_json([one.to_json() for one in made])
    if any(one.verdict is Verdict.FAILED for one in made):
        raise typer.Exit(EXIT_FAILED)


def _checks(experiment: Experiment | None, where: Where, store: str | None) -> Iterator[Check]:
    if not where.chosen:
        yield from _local(experiment, store)
    if where.chosen is not False:
        yield from _of_cluster(experiment, where)


def _local(experiment: Experiment | None, store: str | None) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", Verdict.OK, version)
    works, found = local.trainer()
    remedy = "" if works else "a local run needs it: `make setup`; experiments on a cluster do without"
    yield Check("trainer", Verdict.OK if works else Verdict.WARNING, found, remedy)
    root = store_root(store, experiment.spec.store.name if experiment else None)
    try:
        wrong = list(local.store(root))
    except UserError as error:
        yield Check("store", Verdict.FAILED, str(error), "name another one with --store")
        return
    verdict = Verdict.WARNING if wrong else Verdict.OK
    yield Check("store", verdict, "; ".join(wrong) or root, "name another one with --store" if wrong else "")


def _of_cluster(experiment: Experiment | None, where: Where) -> Iterator[Check]:
    try:
        place = where.on_cluster(experiment.metadata.namespace if experiment else None)
    except UserError as error:
        verdict = Verdict.FAILED if where.chosen else Verdict.WARNING
        remedy = "" if where.chosen else "local runs do without"
        yield Check("cluster", verdict, str(error), remedy)
        return
    yield from cluster_checks(place.client, place.namespace, experiment)
