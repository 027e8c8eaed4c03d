"""`xstilts plan`: what would an experiment train, and what does the store already have?"""

from __future__ import annotations

import typer

from xstilts.cli.opening import ExperimentFile, StoreOption, open_experiment
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.cli.places import ClusterOption, ContextOption, KubeconfigOption, NamespaceOption, Where
from xstilts.local.inputs import pin_inputs
from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.plan.show import to_json, to_text
from xstilts.spec import load_experiment


def plan(
    file: ExperimentFile,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show the stages of an experiment by kind, which of them are done, and what sharing them saves.

    Nothing is run or fetched. Done is what the store has; with --cluster, what the namespace's stages say.

    \b
    Examples:
      xstilts plan experiment.yaml
      xstilts plan experiment.yaml -o json | jq .counts
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    where = Where(cluster, namespace, context, kubeconfig)
    if where.chosen:
        experiment = load_experiment(file)
        place = where.on_cluster(experiment.metadata.namespace)
        planned = plan_experiment(experiment)
        _show(output, planned, place.finished_keys(experiment.spec.store.name))
        return
    opened = open_experiment(file, store, namespace)
    planned = plan_experiment(pin_inputs(opened.experiment, file.parent, opened.store, put=False))
    cached = frozenset(stage.key for stage in planned.stages if opened.store.lookup(stage.key))
    _show(output, planned, cached)


def _show(output: Output, planned: Plan, cached: frozenset[str]) -> None:
    if output is Output.JSON:
        print_json(to_json(planned, cached))
    else:
        typer.echo(to_text(planned, cached))
