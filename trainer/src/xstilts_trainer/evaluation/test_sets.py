"""Labelled rows of a task in one language, read and encoded: what is predicted and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.errors import DataError, Problem
from xstilts.stage import TaskData
from xstilts.task import Task
from xstilts_trainer.data.examples import ChoiceExample, Example
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.load import load_examples, task_labels


@dataclass(frozen=True)
class TestSet:
    """The rows of one file, and the features that they become."""

    __test__ = False  # no test of pytest's

    task: Task
    language: str
    examples: Sequence[Example]
    encoded: Encoded[Feature]


def load_task(data: TaskData, folder: Path) -> tuple[Task, dict[str, list[Example]]]:
    """The task with all its labels, and its examples by language.

    Raises:
        DataError: what is wrong in the first file that has a fault, the task's name before the file's.
    """
    try:
        task = data.task.model_copy(update={"labels": task_labels(folder, data.task)})
        examples = {
            language: load_examples(folder, data.task, data.split, language) for language in data.languages
        }
        _check_choices(data, examples)
    except DataError as error:
        raise in_task(data.task, error) from None
    return task, examples


def _check_choices(data: TaskData, examples: Mapping[str, Sequence[Example]]) -> None:
    """All languages have as many choices: their rows meet in a batch [B, C, T]. Inside a file they are alike."""
    choices = {
        language: len(rows[0].pairs)
        for language, rows in examples.items()
        if isinstance(rows[0], ChoiceExample)
    }
    first = next(iter(choices), "")
    problems = [
        Problem(
            f"{data.split}.{language}",
            f"must have {choices[first]} choices a row, as {data.split}.{first} has, has {count}",
        )
        for language, count in choices.items()
        if count != choices[first]
    ]
    if problems:
        raise DataError(*problems)


def load_test_sets(
    data: TaskData, folder: Path, encode: Callable[[Sequence[Example]], Encoded[Feature]]
) -> list[TestSet]:
    """A test set a language; `encode` makes features of examples.

    Raises:
        DataError: see `load_task`.
    """
    task, examples = load_task(data, folder)
    return [TestSet(task, language, rows, encode(rows)) for language, rows in examples.items()]


def in_task(task: Task, error: DataError) -> DataError:
    """The error with its places under the task's name: a stage may read several tasks with files of equal names."""
    return DataError(
        *(
            Problem(f"{task.name}/{problem.field}" if problem.field else task.name, problem.message)
            for problem in error.problems
        )
    )
