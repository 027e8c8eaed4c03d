"""What most commands begin with: an experiment file, and the store that it and the options name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from xstilts.spec import Experiment, load_experiment
from xstilts.store import Store, store_root

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment: a TransferExperiment manifest in YAML.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Store: a folder or URL. Default: $XSTILTS_STORE, else .xstilts/<the file's store, else default>.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace. Default: the file's, else default.")
]


@dataclass(frozen=True)
class Opened:
    """An experiment, in the namespace that was asked for, and its store with the root that names it."""

    experiment: Experiment
    store: Store
    root: str


def open_experiment(file: Path, store: str | None, namespace: str | None) -> Opened:
    """Read an experiment file and open its store.

    Raises:
        SpecError: the file is not valid.
        StoreError: the store cannot be opened.
    """
    experiment = load_experiment(file).in_namespace(namespace)
    root = store_root(store, experiment.spec.store.name)
    return Opened(experiment, Store.open(root, experiment.metadata.namespace or "default"), root)
