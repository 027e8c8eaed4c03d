"""What the experiment and the catalogue together say of a task, and the rows that stages read of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from xstilts.catalogue import CATALOGUE, ENGLISH, HELD_OUT, Entry
from xstilts.plan.sources import Hub, Origin
from xstilts.spec import Splits, TaskSpec, store_input
from xstilts.stage import DataFile, Holdout, InputRef, Selection, TaskData
from xstilts.task import Metric, Task, TaskType

# Own tasks: row format and metric by type.
_OWN = {
    TaskType.CLASSIFICATION: ("text_classification", Metric.ACCURACY),
    TaskType.MULTIPLE_CHOICE: ("multiple_choice", Metric.ACCURACY),
    TaskType.TAGGING: ("tagging", Metric.TAGGING_F1),
    TaskType.SPAN_QA: ("span_qa", Metric.SQUAD),
    TaskType.RETRIEVAL: ("retrieval", Metric.ACCURACY),
}
# What stays together when a part of train is held out: examples that share a premise, a sentence or a context.
_GROUP_BY = {
    TaskType.CLASSIFICATION: "text",
    TaskType.MULTIPLE_CHOICE: "pairs",
    TaskType.TAGGING: "tokens",
    TaskType.SPAN_QA: "context",
}


@dataclass(frozen=True)
class ResolvedTask:
    """A task of the experiment: its rows, and the rules by which they are used.

    Attributes:
        task: what stages know of it.
        origin: its rows: a folder of the store, or the stage that fetches the hub's.
        languages: those it is scored in, sorted.
        splits: what its splits are called in file names.
        evaluates: the name, in the files, of the split that is scored.
        trains_on: the task whose English rows it trains on as a target; None for retrieval.
        own_dev: whether the best epoch is chosen on its own dev rows, or on a part held out of train.
        translations: hub rows of train in other languages; None where the task's own folder holds them.
    """

    task: Task
    origin: Origin
    languages: tuple[str, ...]
    splits: Splits
    evaluates: str
    trains_on: str | None
    own_dev: bool
    translations: Mapping[str, DataFile] | None

    @property
    def role(self) -> str:
        """The role of its rows in stages."""
        return f"data.{self.task.name}"


@dataclass(frozen=True)
class Rows:
    """Rows that a training reads: what is trained on, what it is selected on, and where both come from."""

    data: TaskData
    selection: Selection
    sources: Mapping[str, Origin] = field(default_factory=dict)


def english_rows(task: ResolvedTask) -> Rows:
    """A task's English train rows: the only ones that a zero-shot training sees."""
    return Rows(
        data=TaskData(task=task.task, role=task.role, split=task.splits.train, languages=(ENGLISH,)),
        selection=_selection(task),
        sources={task.role: task.origin},
    )


def translated_rows(task: ResolvedTask, languages: Iterable[str], hub: Hub) -> Rows:
    """A task's train rows in other languages instead, selected on its English dev rows.

    The task's own folder holds them, if it has one; else they are the catalogue's. Nothing is translated here. (A
    task that selects on a part held out of train holds out translated rows.)
    """
    rows = english_rows(task)
    languages = tuple(sorted(languages))
    if task.translations is None:
        return replace(rows, data=rows.data.model_copy(update={"languages": languages}))
    role = f"translated.{task.task.name}"
    fetched = hub.data(task.task.name, [task.translations[language] for language in languages])
    return replace(
        rows,
        data=rows.data.model_copy(update={"role": role, "languages": languages}),
        sources={**rows.sources, role: fetched},
    )


def scored_rows(task: ResolvedTask) -> TaskData:
    """The rows that a target is scored on, in all its languages, with the head that answers."""
    return TaskData(
        task=task.task,
        role=task.role,
        split=task.evaluates,
        languages=task.languages,
        head=None if task.trains_on == task.task.name else task.trains_on,
    )


def resolve_task(said: TaskSpec, hub: Hub) -> ResolvedTask:
    """Resolve a task of a checked experiment; `said` is what spec.tasks says of it, or its name alone."""
    given = None if said.data is None else store_input(said.data, hub.mark)
    entry = CATALOGUE.get(said.name)
    if entry is not None:
        return _from_catalogue(entry, said, given, hub)
    return _own(said, given)


def _selection(task: ResolvedTask) -> Selection:
    """Its own English dev; a part of train where that is a test, or where the files have nothing but train."""
    if task.own_dev and task.splits.validation != task.splits.train:
        return Selection(data=TaskData(task=task.task, role=task.role, split=task.splits.validation))
    return Selection(holdout=Holdout(fraction=HELD_OUT, group_by=_GROUP_BY[task.task.type]))


def _from_catalogue(entry: Entry, said: TaskSpec, given: InputRef | None, hub: Hub) -> ResolvedTask:
    splits = said.splits or Splits()
    return ResolvedTask(
        task=entry.task,
        origin=given or hub.data(entry.name, entry.files),
        languages=tuple(sorted(said.languages or entry.languages)),
        splits=splits,
        evaluates=splits.validation if entry.evaluates == "validation" else splits.test,
        trains_on=entry.trains_on,
        own_dev=entry.own_dev,
        translations=None if given else entry.translations,
    )


def _own(said: TaskSpec, given: InputRef | None) -> ResolvedTask:
    if said.type is None or given is None:
        raise ValueError(f"task {said.name!r} has no type or no data: the experiment was not checked")
    kind = TaskType(said.type)
    row_format, metric = _OWN[kind]
    splits = said.splits or Splits()
    return ResolvedTask(
        task=Task(name=said.name, type=kind, format=row_format, metric=metric, labels=said.labels or ()),
        origin=given,
        languages=tuple(sorted(said.languages or ())),
        splits=splits,
        evaluates=splits.test,
        trains_on=None if kind is TaskType.RETRIEVAL else said.name,
        own_dev=True,
        translations=None,
    )
