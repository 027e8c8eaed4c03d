"""`xstilts suspend`, `resume` and `retry`: stop an experiment, go on, and try again what has failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

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
from xstilts.cli.run import run
from xstilts.errors import Problem, SpecError, UserError
from xstilts.loading import check_name
from xstilts.local.place import LocalPlace
from xstilts.spec import load_experiment


def suspend(
    target: Target,
    *,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Stop an experiment, until `resume` continues it.

    What runs saves a checkpoint and ends, and nothing new begins. On a cluster, stages that another experiment needs too go on.

    \b
    Examples:
      xstilts suspend my-experiment
      xstilts suspend my-experiment -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    if isinstance(place, LocalPlace):
        changed = place.stop(name)
        done, already = "is asked to save and end", "does not run"
    else:
        changed = place.suspend(name, suspended=True)
        done, already = "is suspended", "is suspended already"
    _tell(output, name, place.words, done if changed else already, changed=changed)


def resume(
    target: Target,
    *,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Continue an experiment that was suspended or interrupted.

    A local one runs here, as with `xstilts run`.

    \b
    Examples:
      xstilts resume my-experiment
      xstilts resume my-experiment -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    if isinstance(place, LocalPlace):
        _run_again(place, name, output)
        return
    changed = place.suspend(name, suspended=False)
    _tell(output, name, place.words, "goes on" if changed else "is not suspended", changed=changed)


def retry(
    target: Target,
    *,
    failed: Annotated[
        bool, typer.Option("--failed", help="Required: says that only what has failed is tried again.")
    ] = False,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Try again what has failed; what is done stays.

    That is every stage that has failed, what could not run because of it, and a report that has failed. On a cluster it sets
    spec.retryFailedAt to a second after the last failure. A local experiment runs here, as with `xstilts run`.

    \b
    Examples:
      xstilts retry my-experiment --failed
      xstilts retry my-experiment --failed -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    if not failed:
        raise typer.BadParameter("say what is to be tried again: --failed", param_hint="retry")
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    if isinstance(place, LocalPlace):
        if place.record(name).error or any(one.state.bad for one in place.standing(name).stages):
            _run_again(place, name, output)
        else:
            _tell(output, name, place.words, "nothing has failed", changed=False)
        return
    stages = place.retry_failed(name)
    many = f"{len(stages)} stage{'' if len(stages) == 1 else 's'}"
    what = f"{many} that failed or could not run: tried again" if stages else "nothing has failed"
    _tell(output, name, place.words, what, changed=bool(stages))


def _run_again(place: LocalPlace, name: str, output: Output) -> None:
    record = place.record(name)
    if place.standing(name).state == "Running":
        raise UserError(
            Problem(f"experiment {name}", f"must not run already, is run by process {record.pid}")
        )
    if not Path(record.file).is_file():
        raise SpecError(Problem(record.file, f"must be there to run {name} again: it was run from this file"))
    check_name(load_experiment(Path(record.file)), record)
    run(
        Path(os.path.relpath(record.file)),
        store=record.store,
        namespace=record.namespace,
        parallelism=record.parallelism,
        results=place.folder,
        output=output,
    )


def _tell(output: Output, name: str, place: str, what: str, *, changed: bool) -> None:
    if output is Output.JSON:
        print_json({"name": name, "place": place, "changed": changed, "message": what})
    else:
        typer.echo(f"{name} ({place}): {what}")
