"""What `results`, `compare` and `export` begin with: an experiment's results, from wherever it is."""

from __future__ import annotations

from pathlib import Path

from xstilts.cli.places import Where, file_experiment
from xstilts.loading import Loaded, of_cluster, of_file, of_run
from xstilts.local.place import LocalPlace


def load(target: str, where: Where, store: str | None) -> Loaded:
    """The results of an experiment: a file's from its store, unless a cluster is asked for.

    Raises:
        UserError: there is no such experiment, or its results cannot be read.
    """
    if file_experiment(target) and not where.chosen:
        return of_file(Path(target), store=store, namespace=where.namespace)
    name, place = where.find(target)
    if isinstance(place, LocalPlace):
        return of_run(place, name, store=store)
    return of_cluster(place, name, store=store)
