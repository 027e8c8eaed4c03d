"""The fields of an experiment that say where bytes come from: finding them all, and giving them other values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from xstilts.spec.experiment import Experiment
from xstilts.spec.words import Path


class NamedSource(NamedTuple):
    """A source, the field that names it, and what it is called as an input of the store where it is a folder."""

    path: Path
    name: str
    source: str


def named_sources(experiment: Experiment) -> Iterator[NamedSource]:
    """Every source that the experiment itself names, in the order of the manifest's fields."""
    spec = experiment.spec
    for index, model in enumerate(spec.models):
        yield NamedSource(("spec", "models", index, "pretrained"), model.name, model.pretrained)
    for index, task in enumerate(spec.tasks):
        if task.data is not None:
            yield NamedSource(("spec", "tasks", index, "data"), task.name, task.data)
    for index, one in enumerate(spec.intermediates):
        if one.continued_pretraining is not None:
            path = ("spec", "intermediates", index, "continuedPretraining", "corpus")
            yield NamedSource(path, f"{one.name}-corpus", one.continued_pretraining.corpus)


def with_sources(experiment: Experiment, sources: Mapping[Path, str]) -> Experiment:
    """The same experiment with other sources at the paths of some fields."""
    for path, source in sources.items():
        experiment = _with(experiment, path, source)
    return experiment


def _with(item: Any, path: Path, value: str) -> Any:
    """A model, or a tuple of models, with another value somewhere below it."""
    if not path:
        return value
    step, below = path[0], path[1:]
    if isinstance(step, int):
        return (*item[:step], _with(item[step], below, value), *item[step + 1 :])
    field = next(name for name, one in type(item).model_fields.items() if one.alias == step)
    return item.model_copy(update={field: _with(getattr(item, field), below, value)})
