"""The results of an experiment, wherever it is: of a file and its store, of a run on this machine, of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xstilts.cluster.place import ClusterPlace
from xstilts.errors import Problem, SpecError
from xstilts.local.inputs import pin_inputs
from xstilts.local.place import LocalPlace
from xstilts.local.record import RunRecord
from xstilts.plan import Plan, plan
from xstilts.results import Results, gather
from xstilts.results.primary import PrimaryRow, primary
from xstilts.spec import Experiment, load_experiment
from xstilts.store import Store, store_root


@dataclass(frozen=True)
class Loaded:
    """An experiment's results so far.

    Attributes:
        experiment, plan, results: its own.
        place: where they come from, for people.
        store: None where they come from a cluster's statuses, which hold scores and no predictions or answers.
    """

    experiment: Experiment
    plan: Plan
    results: Results
    place: str
    store: Store | None

    @cached_property
    def primary(self) -> list[PrimaryRow]:
        """The rows of the primary answer; none without a store, which alone holds what they are computed from."""
        return primary(self.results, self.experiment.spec.analysis) if self.store is not None else []


def of_file(file: Path, *, store: str | None = None, namespace: str | None = None) -> Loaded:
    """The results of a file, from a store: `store`, else the one that its options and the environment name.

    Raises:
        SpecError: the file is not valid.
        StoreError: the store cannot be read.
    """
    experiment = load_experiment(file).in_namespace(namespace)
    root = store_root(store, experiment.spec.store.name)
    opened = Store.open(root, experiment.metadata.namespace or "default")
    pinned = pin_inputs(experiment, file.parent, opened, put=False)
    planned = plan(pinned)
    return Loaded(pinned, planned, gather(pinned, planned, opened), f"store {root}", opened)


def of_run(place: LocalPlace, name: str, *, store: str | None = None) -> Loaded:
    """The results of an experiment that was run on this machine, from the file and the store that it was run with.

    Raises:
        UserError: as `of_file`, there is no such run, or its file is another experiment's now.
    """
    record = place.record(name)
    loaded = of_file(Path(record.file), store=store or record.store, namespace=record.namespace)
    check_name(loaded.experiment, record)
    return loaded


def check_name(experiment: Experiment, record: RunRecord) -> None:
    """Check that the file of a run is that experiment's still.

    Raises:
        SpecError: it names another one.
    """
    if experiment.metadata.name != record.name:
        sentence = (
            f"must be {record.name!r}, of which a run on this machine has read it, was {experiment.metadata.name!r}; "
            "name the file itself for what is in it now"
        )
        raise SpecError(Problem(f"{record.file}: metadata.name", sentence))


def of_cluster(place: ClusterPlace, name: str, *, store: str | None = None) -> Loaded:
    """The results of an experiment on a cluster: from the statuses of its stages, or from its store where that is named."""
    accepted = place.accepted(name)
    opened = Store.open(store, place.namespace) if store else None
    results = gather(accepted.experiment, accepted.plan, opened) if opened else place.results(accepted)
    words = f"store {store}" if store else place.words
    return Loaded(accepted.experiment, accepted.plan, results, words, opened)
