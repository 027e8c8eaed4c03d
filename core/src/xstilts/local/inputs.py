"""Plain paths in an experiment file: put into the store and pinned, so that every stage reads the same bytes."""

from __future__ import annotations

import re
from pathlib import Path

from xstilts.errors import Problem, SpecError
from xstilts.spec import Experiment
from xstilts.spec.sources import is_path
from xstilts.store import Store


def pin_paths(experiment: Experiment, base: Path, store: Store) -> Experiment:
    """The same experiment with every plain path put into the store; paths are relative to `base`.

    Raises:
        SpecError: a path is no folder; all such paths are named together.
        StoreError: a folder is empty or holds what cannot be stored.
    """
    problems: list[Problem] = []

    def pinned(source: str, name: str, field: str) -> str:
        if not is_path(source):
            return source
        folder = base / source
        if not folder.is_dir():
            problems.append(Problem(field, f"must be a folder, was {source!r} (looked at {folder})"))
            return source
        return str(store.put(_input_name(name), folder))

    spec = experiment.spec
    models = tuple(
        model.model_copy(
            update={"pretrained": pinned(model.pretrained, model.name, f"spec.models[{index}].pretrained")}
        )
        for index, model in enumerate(spec.models)
    )
    tasks = tuple(
        task.model_copy(update={"data": pinned(task.data, task.name, f"spec.tasks[{index}].data")})
        if task.data is not None
        else task
        for index, task in enumerate(spec.tasks)
    )
    if problems:
        raise SpecError(*problems)
    return experiment.model_copy(update={"spec": spec.model_copy(update={"models": models, "tasks": tasks})})


def _input_name(name: str) -> str:
    """An input's name from a model's or task's: letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)
