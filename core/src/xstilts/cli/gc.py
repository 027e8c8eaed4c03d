"""`xstilts gc`: what in the store does nobody need?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.opening import NamespaceOption, StoreOption
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.errors import Problem, SpecError
from xstilts.local.inputs import pin_inputs
from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.plan.sources import is_unpinned
from xstilts.spec import Experiment, load_experiment
from xstilts.stage import InputRef
from xstilts.store import Store, store_root


def gc(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The experiments that are needed.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List what the store holds and none of the given experiments needs, with sizes; with --yes, remove it.

    Listed are artifacts and inputs, what was set aside as damaged more than a week ago, drafts whose process is dead,
    and checkpoints without a new one for a day. Name all experiments of the namespace: what belongs to one that is not
    named goes.

    \b
    Examples:
      xstilts gc experiments/*.yaml
      xstilts gc experiments/*.yaml --yes
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    experiments = {file: load_experiment(file) for file in files}
    opened = Store.open(*_place(experiments, store, namespace))
    keys: set[str] = set()
    inputs: set[InputRef] = set()
    for file, experiment in experiments.items():
        planned = plan_experiment(pin_inputs(experiment, file.parent, opened, put=False))
        keys |= planned.by_key.keys()
        inputs |= _inputs(planned)
    names = {experiment.metadata.name for experiment in experiments.values()}
    unneeded = opened.unneeded(keys, inputs, datetime.now(UTC), names)
    for item in unneeded:
        if output is Output.TEXT:
            typer.echo(f"{item.kind:<10}  {_size(item.size):>9}  {item.name}")
        if yes:
            opened.discard(item)
    if output is Output.JSON:
        items = [{"kind": str(item.kind), "name": item.name, "bytes": item.size} for item in unneeded]
        print_json({"removed": yes, "items": items})
        return
    total = f"{len(unneeded)} item{'' if len(unneeded) == 1 else 's'}, {_size(sum(item.size for item in unneeded))}"
    if not unneeded:
        typer.echo("everything in the store is needed")
    elif yes:
        typer.echo(f"removed: {total}")
    else:
        typer.echo(f"not needed: {total}; --yes removes it")


def _place(experiments: dict[Path, Experiment], store: str | None, namespace: str | None) -> tuple[str, str]:
    """The one root and namespace of all the files."""
    places = {
        file: (
            store_root(store, experiment.spec.store.name),
            namespace or experiment.metadata.namespace or "default",
        )
        for file, experiment in experiments.items()
    }
    first = next(iter(places.values()))
    problems = [
        Problem(str(file), f"must be of {_words(first)}, as the first file; was of {_words(place)}")
        for file, place in places.items()
        if place != first
    ]
    if problems:
        raise SpecError(*problems)
    return first


def _words(place: tuple[str, str]) -> str:
    return f"store {place[0]}, namespace {place[1]}"


def _inputs(planned: Plan) -> set[InputRef]:
    """The inputs that the store has, or should have: of one without its digest it has nothing."""
    return {
        InputRef(**reference)
        for one in planned.stages
        for reference in one.stage.spec.get("inputs", {}).values()
        if not is_unpinned(reference["digest"])
    }


def _size(size: float) -> str:
    """A number of bytes for people: 471 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
