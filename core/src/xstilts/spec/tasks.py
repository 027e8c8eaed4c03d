"""The tasks of an experiment: what it says of a task stands once, and intermediates and targets name it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from xstilts.model import Model
from xstilts.spec.fields import Label, Language, SplitName, TaskName, unique
from xstilts.spec.sources import DataSource
from xstilts.task import TaskType

OwnTaskType = Literal[
    TaskType.CLASSIFICATION, TaskType.MULTIPLE_CHOICE, TaskType.TAGGING, TaskType.SPAN_QA, TaskType.RETRIEVAL
]


class Splits(Model):
    """What the splits are called in the names of the task's files, where not train, validation and test."""

    train: SplitName = "train"
    """What is trained on."""
    validation: SplitName = "validation"
    """What the best epoch is chosen on."""
    test: SplitName = "test"
    """What is scored."""


class TaskSpec(Model):
    """A task's data and languages; for an own task, one that is not in the catalogue, its type and labels too."""

    name: TaskName
    """An id of the catalogue, or the name of an own task."""
    data: DataSource | None = None
    """A folder of `<split>.<language>.jsonl` (or parquet, csv, tsv) in the task's columns."""
    splits: Splits | None = None
    """What the splits are called in the names of the files."""
    languages: (
        Annotated[tuple[Language, ...], Field(min_length=1, max_length=128), AfterValidator(unique)] | None
    ) = None
    """The languages that it is evaluated in."""
    type: OwnTaskType | None = None
    """The shape of an own task."""
    labels: (
        Annotated[tuple[Label, ...], Field(min_length=2, max_length=2048), AfterValidator(unique)] | None
    ) = None
    """The class or tag names of an own task, in the order of their numbers."""


class TargetSpec(Model):
    """A target: a task that is trained in English and evaluated in every language."""

    task: TaskName
    """A task of the catalogue or of `spec.tasks`."""
    probe_layers: bool = False
    """Also tell how well translations align at every layer; for a task of type Retrieval."""
