"""What the catalogue says of a task, and the small words in which the entries are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from xstilts.stage import DataFile, Slice
from xstilts.task import Task, TaskType

ENGLISH = "en"
HELD_OUT = "0.1"  # the part of train that selection takes where a task has no dev of its own


@dataclass(frozen=True)
class Counts:
    """How many rows a task has and how long they are: what estimates are made of. No stage and no key holds them.

    Lengths are means in XLM-R's pieces, special ones included and cut as recipes cut them (384 in question answering,
    else 256). Where a task's slice was at hand they were counted on it (tests/estimate counts them again); else an
    entry says so.

    Attributes:
        train, dev: English rows; no dev where a part of train is held out.
        test: rows a language, the mean over languages; of retrieval, the distinct texts of both sides.
        pieces: of a sequence of train: a window in question answering, one choice of a multiple choice.
        windows: sequences a row in question answering.
        choices: sequences a row in multiple choice.
        joined: pieces of a row as one text, where that is no single sequence: all choices of a multiple choice.
        test_pieces, test_windows: the same of the test split, over all languages.
    """

    train: int = 0
    dev: int = 0
    test: int = 0
    pieces: float = 0
    windows: float = 1
    choices: int = 1
    joined: float | None = None
    test_pieces: float = 0
    test_windows: float = 1


@dataclass(frozen=True)
class Entry:
    """One task, as data.

    Attributes:
        task: what stages know of it: head, row format, metric, labels.
        title: its name in tables.
        role: whether it is an intermediate task or a target.
        languages: those it is scored in, sorted; English for an intermediate task.
        trains_on: the task whose English train split a target trains on; None where nothing is trained.
        evaluates: the split that is scored, in the words `train`, `validation`, `test`.
        files: where the hub has its rows; empty where it has them not (then `unavailable` says why).
        translations: hub rows of the train split in other languages, by language.
        own_dev: True where the best epoch is chosen on the task's own English `validation`; False where that
            split is, or is the source of, somebody's test, so that a tenth of train is held out instead.
        sources: the sets of rows that its train split is made of: what overlap is computed from.
        counts: how much there is of it; None where nobody knows.
        licence, citation: of the data.
        notes: what a reader should doubt or know; "from memory" marks what was not read in a source.
    """

    task: Task
    title: str
    role: Literal["intermediate", "target"]
    languages: tuple[str, ...]
    trains_on: str | None
    licence: str
    citation: str
    sources: frozenset[str] = frozenset()
    evaluates: str = "test"
    own_dev: bool = True
    files: tuple[DataFile, ...] = ()
    unavailable: str = ""
    translations: Mapping[str, DataFile] = field(default_factory=dict)
    notes: str = ""
    counts: Counts | None = None

    @property
    def name(self) -> str:
        """The catalogue id: for targets, the folder of XTREME's submissions."""
        return self.task.name

    @property
    def is_target(self) -> bool:
        """Whether it can be a target."""
        return self.role == "target"

    @property
    def is_intermediate(self) -> bool:
        """Whether it can stand in an intermediate's tasks."""
        return self.role == "intermediate"

    @property
    def is_retrieval(self) -> bool:
        """Whether a model is applied to it as it is, without training."""
        return self.task.type in {TaskType.RETRIEVAL, TaskType.MINING}


def table(
    split: str,
    language: str,
    repository: str,
    *,
    config: str | None = None,
    hub_split: str | None = None,
    id_prefix: str | None = None,
    reference: str | None = None,
) -> DataFile:
    """A data file that is one table of one hub repository; its revision is pinned by the experiment."""
    rows = Slice(
        repository=repository,
        revision=None,
        config=config,
        split=hub_split or split,
        id_prefix=id_prefix,
        reference=reference,
    )
    return DataFile(split=split, language=language, slices=(rows,))


def english(
    repository: str, *, config: str | None = None, dev: str = "validation", reference: str | None = None
) -> tuple[DataFile, ...]:
    """The two files of an English task: train, and the hub's split `dev` as validation."""
    return (
        table("train", ENGLISH, repository, config=config, reference=reference),
        table("validation", ENGLISH, repository, config=config, hub_split=dev, reference=reference),
    )


def by_language(
    split: str,
    configs: Mapping[str, str],
    repository: str,
    *,
    hub_split: str | None = None,
    leave_out: Iterable[str] = (),
) -> tuple[DataFile, ...]:
    """A split that stands in one configuration a language (language -> configuration)."""
    missing = set(leave_out)
    return tuple(
        table(split, language, repository, config=config, hub_split=hub_split)
        for language, config in configs.items()
        if language not in missing
    )
