"""What an experiment file leaves open of its inputs: pinned before a run, so that every stage reads the same bytes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from xstilts.errors import Problem, SpecError
from xstilts.model import Model
from xstilts.spec import Experiment, is_path, is_unpinned_input
from xstilts.stage import InputRef
from xstilts.store import Store

AnyModel = TypeVar("AnyModel", bound=Model)


def pin_inputs(experiment: Experiment, base: Path, store: Store, *, put: bool = True) -> Experiment:
    """The same experiment with every plain path put into the store, and every `store://NAME` with its newest digest.

    Paths are relative to `base`. Without `put` nothing is written: a path gets the digest that it would have, and a name
    of which the store has nothing stays as it is.

    Raises:
        SpecError: a path is no folder, or the store has nothing of a name; all such are named together.
        StoreError: a folder is empty or holds what cannot be stored.
    """
    problems: list[Problem] = []

    def pinned(item: AnyModel, field: str, name: str, place: str) -> AnyModel:
        source = getattr(item, field)
        reference: InputRef | None = None
        if source is None:
            return item
        if is_path(source):
            folder = base / source
            if not folder.is_dir():
                problems.append(Problem(place, f"must be a folder, was {source!r} (looked at {folder})"))
                return item
            digest = store.put if put else store.reference
            reference = digest(_input_name(name), folder)
        elif is_unpinned_input(source):
            reference = store.latest(source.removeprefix("store://"))
            if reference is None and put:
                command = f"xstilts put {source.removeprefix('store://')} FOLDER"
                problems.append(
                    Problem(place, f"must be in the store, was {source!r}; `{command}` puts it there")
                )
        return item if reference is None else item.model_copy(update={field: str(reference)})

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
