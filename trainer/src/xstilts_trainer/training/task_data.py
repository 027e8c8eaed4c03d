"""The data of a train stage, read, checked and encoded before the first step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xstilts.errors import DataError, Problem, SpecError
from xstilts.stage import Holdout, Selection, TaskData, TrainSpec
from xstilts.task import Task
from xstilts_trainer.data.encode import Features
from xstilts_trainer.data.examples import Example
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.subsets import held_out, limited
from xstilts_trainer.evaluation.test_sets import TestSet, in_task, load_task, load_test_sets


@dataclass(frozen=True)
class TrainingSet:
    """One task of a train stage.

    Attributes:
        task: with all its labels.
        encoded: the features that are trained on.
        origins: file and row of each example, by its index in the features.
        dev: what its epochs are scored on; empty where nothing is selected.
    """

    task: Task
    encoded: Encoded[Feature]
    origins: Sequence[str]
    dev: Sequence[TestSet]


def load_training_sets(
    spec: TrainSpec, folders: Mapping[str, Path], features: Features
) -> dict[str, TrainingSet]:
    """All tasks of the stage, by name.

    Raises:
        DataError: a file is missing or wrong, or nothing can be held out as asked; all tasks' problems together.
        SpecError: a selection that is by data and by a holdout, or by neither.
    """
    selections: Sequence[Selection] = spec.selection or [Selection()] * len(spec.data)
    sets: dict[str, TrainingSet] = {}
    problems: list[Problem] = []
    for index, (data, selection) in enumerate(zip(spec.data, selections, strict=True)):
        if spec.selection:
            _check_selection(index, selection)
        try:
            sets[data.task.name] = _load(
                data, selection, folders, features, spec.hyperparameters.max_examples
            )
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return sets


def token_ids(sets: Iterable[TrainingSet]) -> npt.NDArray[np.int64]:
    """Every token id that training or selection shows the model, once."""
    features = [
        feature
        for training_set in sets
        for encoded in (training_set.encoded, *(test_set.encoded for test_set in training_set.dev))
        for feature in encoded.features
    ]
    return np.unique(np.concatenate([text.ids for feature in features for text in feature.inputs])).astype(
        np.int64
    )


def _check_selection(index: int, selection: Selection) -> None:
    if selection.data is not None and selection.holdout is not None:
        raise SpecError(Problem(f"spec.selection[{index}]", "must be data or a holdout, was both"))
    if selection.data is None and selection.holdout is None:
        raise SpecError(Problem(f"spec.selection[{index}]", "must be data or a holdout, was neither"))


def _load(
    data: TaskData,
    selection: Selection,
    folders: Mapping[str, Path],
    features: Features,
    max_examples: int | None,
) -> TrainingSet:
    task, by_language = load_task(data, folders[data.role])
    origins = {
        id(example): f"{data.split}.{language} row {number}"
        for language, examples in by_language.items()
        for number, example in enumerate(examples, start=1)
    }
    examples = [example for of_language in by_language.values() for example in of_language]
    dev: list[TestSet] = []
    if selection.holdout is not None:
        examples, chosen = _hold_out(task, examples, selection.holdout)
        dev = [TestSet(task, data.languages[0], chosen, features.test(task, chosen))]
    elif selection.data is not None:
        dev = load_test_sets(selection.data, folders[selection.data.role], partial(features.test, task))
    examples = limited(examples, max_examples)
    encoded = features.training(task, examples)
    return TrainingSet(task, encoded, [origins[id(example)] for example in examples], dev)


def _hold_out(
    task: Task, examples: Sequence[Example], holdout: Holdout
) -> tuple[list[Example], list[Example]]:
    if not hasattr(examples[0], holdout.group_by):
        fields = ", ".join(field.name for field in dataclasses.fields(examples[0]))
        raise DataError(
            Problem(f"{task.name}: holdout.groupBy", f"must be one of {fields}, was {holdout.group_by}")
        )
    try:
        return held_out(examples, Decimal(holdout.fraction), holdout.group_by)
    except DataError as error:
        raise in_task(task, error) from None
