"""Where the bytes that a stage reads come from: a folder of the store, or a stage that fetches them."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.errors import Problem
from xstilts.spec import Experiment, is_path
from xstilts.stage import InputRef, Kind, PrepareDataSpec, PrepareModelSpec, Stage

Origin = InputRef | Stage


def prepare(spec: PrepareModelSpec | PrepareDataSpec) -> Stage:
    """The stage that fetches from the hub."""
    return Stage.of(Kind.PREPARE, spec)


def unpinned_mark(experiment: Experiment) -> str:
    """What stands in the key of a stage that fetches something without a commit: it is not shared with others."""
    metadata = experiment.metadata
    return f"unpinned:{metadata.namespace or 'default'}/{metadata.name}"


def paths(experiment: Experiment) -> Iterator[Problem]:
    """The sources that are paths of a machine: they have no digest before `xstilts run` has put them into the store."""
    named: dict[str, str | None] = {}
    for index, model in enumerate(experiment.spec.models):
        named[f"spec.models[{index}].pretrained"] = model.pretrained
    for index, task in enumerate(experiment.spec.tasks):
        named[f"spec.tasks[{index}].data"] = task.data
    for index, intermediate in enumerate(experiment.spec.intermediates):
        if intermediate.continued_pretraining is not None:
            field = f"spec.intermediates[{index}].continuedPretraining.corpus"
            named[field] = intermediate.continued_pretraining.corpus
    for field, source in named.items():
        if source is not None and is_path(source):
            yield Problem(
                field,
                f"must be store://NAME@sha256:DIGEST to be planned, was the path {source!r}; `xstilts put` puts a "
                "folder into the store, and `xstilts run` does it by itself",
            )
