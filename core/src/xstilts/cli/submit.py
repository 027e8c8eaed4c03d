"""`xstilts submit`: give an experiment to a cluster, after saying what that will run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.estimating import (
    AcceleratorOption,
    InputsOption,
    PriceOption,
    PricesOption,
    Terms,
    on_cluster,
)
from xstilts.cli.opening import ExperimentFile
from xstilts.cli.output import Output, OutputOption, print_json, say
from xstilts.cli.places import ContextOption, KubeconfigOption, NamespaceOption, Where
from xstilts.cli.plugin import is_plugin, program_name
from xstilts.cluster.client import NotFoundError, Object
from xstilts.cluster.place import ClusterPlace, edited_spec, experiment_of
from xstilts.errors import EXIT_FAILED, Problem, UserError
from xstilts.estimate import Estimate, estimate
from xstilts.estimate.show import remarks, summary
from xstilts.estimate.show import to_json as estimate_to_json
from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.plan.placement import gpus, placement
from xstilts.plan.show import unpinned_warning
from xstilts.spec import Experiment, ExperimentSpec, load_experiment
from xstilts.spec.document import parse_document
from xstilts.spec.reading import read_text
from xstilts.stage import Kind


def submit(
    file: ExperimentFile,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the experiment of this name to the file.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have the cluster check it, and change nothing.")
    ] = False,
    accelerator: AcceleratorOption = None,
    price: PriceOption = None,
    prices: PricesOption = None,
    store: InputsOption = None,
    output: OutputOption = Output.TEXT,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Submit an experiment to a cluster, after a question.

    It shows what will run and what that will take, and asks before it does. The stages that the namespace has run already are not run again. With --edit, what has begun stays as it is: a grid
    may only grow, and parallelism, budget, queue, resources and deadlines may change. What `suspend`, `resume` and
    `retry` have set stays too, unless the file names it.

    \b
    Examples:
      xstilts submit experiment.yaml
      xstilts submit experiment.yaml --accelerator H100 --price "2.90 EUR"
      xstilts submit experiment.yaml --edit --yes -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    experiment = load_experiment(file)
    terms = Terms.of(experiment, accelerator, price, prices)
    planned = plan_experiment(experiment)
    place = Where(True, namespace, context, kubeconfig).on_cluster(experiment.metadata.namespace)
    manifest = _manifest(file, place.namespace)
    there = _there(place, experiment.metadata.name, edit=edit)
    edited = edited_spec(there, manifest) if there else manifest["spec"]
    action = _checked(place, manifest, there, edited, edit=edit)
    found = on_cluster(planned, experiment.spec.store.name, place, store)
    new = _new(planned, frozenset(found.cached))
    estimated = estimate(planned, experiment.spec, terms.accelerator, price=terms.price, found=found)
    changes = not dry_run and action != "unchanged"
    console = Console(stderr=True)
    for line in _summary(experiment, planned, new, estimated, place) if changes else ():
        say(console, line)
    if edited.get("suspend"):
        command = _command("resume", experiment.metadata.name, place)
        say(console, f"  it is suspended: `{command}` continues it")
    if changes:
        if not yes:
            _ask(output)
        if action == "created":
            place.create(manifest)
        else:
            place.replace_spec(manifest)
    _tell(output, experiment, place, "checked" if dry_run else action, new, estimated)


def _manifest(file: Path, namespace: str) -> Object:
    """What the file says, as it says it, in that namespace."""
    value = parse_document(read_text(file), str(file)).value
    return {**value, "metadata": {**value["metadata"], "namespace": namespace}}


def _there(place: ClusterPlace, name: str, *, edit: bool) -> Object | None:
    """The TransferExperiment of that name; None where there is none, unless it is to be edited."""
    try:
        return place.get(name)
    except NotFoundError:
        if edit:
            raise
        return None


def _checked(
    place: ClusterPlace, manifest: Object, there: Object | None, edited: Object, *, edit: bool
) -> str:
    """What submitting will have done; the cluster has checked it. `edited` is the spec that there will be."""
    if there is None:
        place.create(manifest, dry_run=True)
        return "created"
    if edit:
        return "changed" if place.replace_spec(manifest, dry_run=True) else "unchanged"
    if experiment_of(there).spec == experiment_of({**there, "spec": edited}).spec:
        return "unchanged"
    problem = f"must be a new name in {place.words}, or come with --edit: an experiment of this name is there and is another"
    raise UserError(Problem(f"metadata.name {there['metadata']['name']}", problem))


def _new(planned: Plan, finished: frozenset[str]) -> dict[str, int]:
    """How many stages of each kind are to be run; of a stage that is not pinned nothing is known before it is there."""
    counts: dict[str, int] = {}
    for one in planned.stages:
        if one.key not in finished and one.stage.kind is not Kind.REPORT:
            counts[one.stage.kind.value] = counts.get(one.stage.kind.value, 0) + 1
    return counts


def _summary(
    experiment: Experiment, planned: Plan, new: dict[str, int], estimated: Estimate, place: ClusterPlace
) -> list[str]:
    spec = experiment.spec
    words = {Kind.PREPARE: "preparation", Kind.TRAIN: "training", Kind.EVALUATE: "evaluation"}
    counted = [
        f"{new[kind]} {word}{'' if new[kind] == 1 else 's'}" for kind, word in words.items() if kind in new
    ]
    total = sum(one.stage.kind is not Kind.REPORT for one in planned.stages)
    left = total - sum(new.values())
    limits = [
        f"at most {spec.parallelism} stages at once"
        if spec.parallelism
        else "as many stages at once as are ready",
        _devices(spec),
        f"at most {spec.budget.gpu_hours} GPU-hours" if spec.budget else "no budget (spec.budget.gpuHours)",
        f"queue {spec.queue_name}" if spec.queue_name else "no queue",
    ]
    lines = [
        f"{experiment.metadata.name} for {place.words}",
        f"  runs   {', '.join(counted) or 'nothing'}; {left} of {total} stages are done already",
        f"  with   {', '.join(limits)}",
        f"  takes  {summary(estimated)}",
        *(f"         {remark}" for remark in remarks(estimated)),
    ]
    warning = unpinned_warning(planned)
    return [*lines, *([f"  {warning}"] if warning else [])]


def _devices(spec: ExperimentSpec) -> str:
    """How many GPUs a training has, which models may differ in."""
    asked = [gpus(placement(spec, Kind.TRAIN, [model.name])) for model in spec.models]
    least, most = min(asked), max(asked)
    if not most:
        return "CPUs alone"
    return f"{least if least == most else f'{least} to {most}'} GPU{'' if most == 1 else 's'} a training"


def _ask(output: Output) -> None:
    if output is Output.JSON or not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here, so it must be said", param_hint="--yes")
    if not typer.confirm("Submit it?", err=True):
        typer.echo("nothing was submitted", err=True)
        raise typer.Exit(EXIT_FAILED)


def _tell(
    output: Output,
    experiment: Experiment,
    place: ClusterPlace,
    action: str,
    new: dict[str, int],
    estimated: Estimate,
) -> None:
    name = experiment.metadata.name
    if output is Output.JSON:
        document = {
            "name": name,
            "namespace": place.namespace,
            "place": place.words,
            "action": action,
            "runs": new,
            "estimate": estimate_to_json(estimated),
        }
        print_json(document)
        return
    typer.echo(f"{name} ({place.words}): {action}")
    if action in {"created", "changed"}:
        typer.echo(_command("watch", name, place))


def _command(command: str, name: str, place: ClusterPlace) -> str:
    """How a command is called on an experiment of the cluster."""
    where = "" if is_plugin() else " --cluster"
    return f"{program_name()} {command} {name}{where} -n {place.namespace}"
