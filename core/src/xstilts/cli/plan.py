"""`xstilts plan`: what would an experiment train, and what does the store already have?"""

from __future__ import annotations

import typer

from xstilts.cli.estimating import (
    AcceleratorOption,
    PriceOption,
    PricesOption,
    Terms,
    needing,
    on_cluster,
)
from xstilts.cli.opening import ExperimentFile, StoreOption, open_experiment
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.cli.places import ClusterOption, ContextOption, KubeconfigOption, NamespaceOption, Where
from xstilts.estimate import Estimate, estimate
from xstilts.estimate.show import to_json as estimate_to_json
from xstilts.estimate.show import to_text as estimate_to_text
from xstilts.estimate.stored import read_store
from xstilts.local.inputs import check_folders, pin_inputs
from xstilts.plan import Plan
from xstilts.plan import plan as plan_experiment
from xstilts.plan.rows import check_files, stored_files
from xstilts.plan.show import to_json, to_text, unpinned_warning
from xstilts.spec import load_experiment


def plan(
    file: ExperimentFile,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    accelerator: AcceleratorOption = None,
    price: PriceOption = None,
    prices: PricesOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show what an experiment would run, and what that will take.

    It lists the stages by kind, those that are done, and what sharing them saves; nothing is run or fetched. A stage is done if
    the store has it; with --cluster, if the namespace's stages say so. Hours, money, disk and memory are estimates for the
    accelerator that you name; stages that are done have the time they took beside the estimate.

    \b
    Examples:
      xstilts plan experiment.yaml
      xstilts plan experiment.yaml --accelerator H100 --price "2.90 EUR"
      xstilts plan experiment.yaml -o json | jq .estimate.total.toRun
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    where = Where(cluster, namespace, context, kubeconfig)
    if where.chosen:
        experiment = load_experiment(file)
        place = where.on_cluster(experiment.metadata.namespace)
        planned = plan_experiment(experiment)
        found = on_cluster(planned, experiment.spec.store.name, place, store)
    else:
        opened = open_experiment(file, store, namespace)
        experiment = opened.experiment
        check_folders(experiment, file.parent)
        planned = plan_experiment(pin_inputs(experiment, file.parent, opened.store, put=False))
        stages = [one.stage for one in planned.stages]
        check_files(stages, stored_files(opened.store), all_there=False)
        found = needing(planned, read_store(planned, opened.store))
    terms = Terms.of(experiment, accelerator, price, prices)
    estimated = estimate(planned, experiment.spec, terms.accelerator, price=terms.price, found=found)
    _show(output, planned, estimated, frozenset(found.cached))


def _show(output: Output, planned: Plan, estimated: Estimate, cached: frozenset[str]) -> None:
    if output is Output.JSON:
        print_json(to_json(planned, cached) | {"estimate": estimate_to_json(estimated)})
    else:
        warning = unpinned_warning(planned)
        stages = to_text(planned, cached).removesuffix(f"\n\n{warning}")
        typer.echo("\n\n".join(filter(None, (stages, estimate_to_text(estimated), warning))))
