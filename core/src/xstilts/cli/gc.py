"""`xstilts gc`: what in the store does nobody need?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.opening import NamespaceOption, StoreOption
from xstilts.cli.output import Output, OutputOption, print_json, size
from xstilts.cli.places import ContextOption, KubeconfigOption
from xstilts.cluster.client import Client
from xstilts.cluster.place import ClusterPlace
from xstilts.errors import Problem, SpecError, UserError
from xstilts.local.inputs import pin_inputs
from xstilts.pinning.clusters import Needed, needed_by_plan, of_clusters
from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.results.words import plural
from xstilts.spec import Experiment, load_experiment
from xstilts.stage import InputRef
from xstilts.store import Store, layout, store_root
from xstilts.store.garbage import Unneeded


def gc(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="The experiments that are needed.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Needed are also the experiments that the cluster has now.")
    ] = False,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List what the store holds and no given experiment needs.

    With --yes it is removed. Listed are artifacts and inputs, what experiments have noted that they use (see spec.store.keep), what was set aside
    as damaged more than a week ago, drafts whose process is dead, and checkpoints without a new one for a day. Name all
    experiments of the namespace: what belongs to one that is not named goes.

    Where an experiment of a cluster names something without its commit or digest, no file leads to what it has made: that
    is kept, and a last line says so. With --cluster the cluster is asked for the experiments that it has in the
    namespace, which then need not be named, and what such a one has left that it has no more is listed too. --store
    names the cluster's store as this machine reaches it.

    \b
    Examples:
      xstilts gc experiments/*.yaml
      xstilts gc experiments/*.yaml --yes
      xstilts gc --cluster -n team --store s3://bucket/experiments
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    experiments = {file: load_experiment(file) for file in files or ()}
    if not experiments and not cluster:
        raise UserError(
            Problem("FILE", "must name the experiments that are needed, or --cluster ask for them")
        )
    there = None
    if cluster:
        there = ClusterPlace(Client.connect(kubeconfig, context), namespace or _namespace_of(experiments))
        namespace = there.namespace
    experiments = {file: experiment.in_namespace(namespace) for file, experiment in experiments.items()}
    opened = Store.open(*_place(experiments, store, namespace))
    plans = [
        plan_experiment(pin_inputs(experiment, file.parent, opened, put=False))
        for file, experiment in experiments.items()
    ]
    if there:
        plans += [there.plan(name) for name in there.names()]
    unneeded, kept = _unneeded(opened, plans, ask=there is None)
    for item in unneeded:
        if output is Output.TEXT:
            typer.echo(f"{item.kind:<10}  {size(item.size):>9}  {item.name}")
        if yes:
            opened.discard(item)
    if output is Output.JSON:
        items = [{"kind": str(item.kind), "name": item.name, "bytes": item.size} for item in unneeded]
        print_json({"removed": yes, "items": items, "kept": [item.name for item in kept]})
        return
    _tell(unneeded, kept, removed=yes)


def _tell(unneeded: Sequence[Unneeded], kept: Sequence[Unneeded], *, removed: bool) -> None:
    if not unneeded:
        typer.echo(f"everything {'else ' if kept else ''}in the store is needed")
    elif removed:
        typer.echo(f"removed: {_total(unneeded)}")
    else:
        typer.echo(f"not needed: {_total(unneeded)}; --yes removes it")
    if kept:
        typer.echo(
            f"kept: {_total(kept)}, of experiments of a cluster that name something without its commit or digest; "
            "--cluster asks it which of them it still has",
            err=True,
        )


def _unneeded(store: Store, plans: Sequence[Plan], *, ask: bool) -> tuple[list[Unneeded], list[Unneeded]]:
    """What no plan needs; and beside it, where a cluster would have to be asked, what experiments of one may need."""
    pins = dict(store.pins())
    needed = [needed_by_plan(one, pins) for one in plans]
    keys = frozenset[str]().union(*(one.keys for one in needed))
    inputs = frozenset[InputRef]().union(*(one.inputs for one in needed))
    found = store.unneeded(keys, inputs, datetime.now(UTC), {one.name for one in plans})
    theirs = of_clusters(store, keys) if ask else Needed(frozenset(), frozenset())
    if not theirs:
        return found, []
    folders = theirs.keys | {layout.input_folder(ref.name, ref.digest) for ref in theirs.inputs}
    # a checkpoint does not say what it is of
    kept = [item for item in found if item.folder in folders or item.kind == "checkpoint"]
    return [item for item in found if item not in kept], kept


def _total(items: Sequence[Unneeded]) -> str:
    return f"{plural(len(items), 'item')}, {size(sum(item.size for item in items))}"


def _place(experiments: dict[Path, Experiment], store: str | None, namespace: str | None) -> tuple[str, str]:
    """The one root and namespace of all the files; without files the default store in the namespace."""
    places = {
        file: (store_root(store, experiment.spec.store.name), experiment.metadata.namespace or "default")
        for file, experiment in experiments.items()
    }
    first = next(iter(places.values()), (store_root(store, "default"), namespace or "default"))
    problems = [
        Problem(str(file), f"must be of {_words(first)}, as the first file; was of {_words(place)}")
        for file, place in places.items()
        if place != first
    ]
    if problems:
        raise SpecError(*problems)
    return first


def _namespace_of(experiments: dict[Path, Experiment]) -> str | None:
    """That of the first file, where it says one."""
    return next((one.metadata.namespace for one in experiments.values()), None)


def _words(place: tuple[str, str]) -> str:
    return f"store {place[0]}, namespace {place[1]}"
