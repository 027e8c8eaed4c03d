"""Plain paths in an experiment file: put into the store and pinned, so that every stage reads the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from xstilts.errors import Problem, SpecError
from xstilts.model import Model
from xstilts.spec import Experiment, is_path
from xstilts.store import Store

AnyModel = TypeVar("AnyModel", bound=Model)


def pin_paths(experiment: Experiment, base: Path, store: Store) -> Experiment:
    """The same experiment with every plain path put into the store; paths are relative to `base`.

    Raises:
        SpecError: a path is no folder; all such paths are named together.
        StoreError: a folder is empty or holds what cannot be stored.
    """
    problems: list[Problem] = []

    def pinned(item: AnyModel, field: str, name: str, place: str) -> AnyModel:
        source = getattr(item, field)
        if source is None or not is_path(source):
            return item
        folder = base / source
        if not folder.is_dir():
            problems.append(Problem(place, f"must be a folder, was {source!r} (looked at {folder})"))
            return item
        return item.model_copy(update={field: str(store.put(_input_name(name), folder))})

    spec = experiment.spec
    models = tuple(
        pinned(model, "pretrained", model.name, f"spec.models[{index}].pretrained")
        for index, model in enumerate(spec.models)
    )
    tasks = tuple(
        pinned(task, "data", task.name, f"spec.tasks[{index}].data") for index, task in enumerate(spec.tasks)
    )
    intermediates = tuple(
        one
        if one.continued_pretraining is None
        else one.model_copy(
            update={
                "continued_pretraining": pinned(
                    one.continued_pretraining,
                    "corpus",
                    f"{one.name}-corpus",
                    f"spec.intermediates[{index}].continuedPretraining.corpus",
                )
            }
        )
        for index, one in enumerate(spec.intermediates)
    )
    if problems:
        raise SpecError(*problems)
    changed = {"models": models, "tasks": tasks, "intermediates": intermediates}
    return experiment.model_copy(update={"spec": spec.model_copy(update=changed)})


def _input_name(name: str) -> str:
    """An input's name from a model's or task's: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)
