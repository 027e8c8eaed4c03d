"""What is known of an experiment's models and rows: from the catalogue, and from what lies in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from xstilts.catalogue import CATALOGUE
from xstilts.catalogue.entry import Counts
from xstilts.catalogue.models import MODELS
from xstilts.catalogue.sizes import Size
from xstilts.plan import Plan
from xstilts.stage import Kind, Stage, TaskData

Use: TypeAlias = Literal["train", "dev", "test"]
CATALOGUE_SPREAD = 1.15  # means of slices, and counts of which some are from memory
COUNTED_SPREAD = 1.3  # pieces are reckoned from characters


class UnknownError(Exception):
    """Something without which a stage cannot be estimated; the message says what."""


@dataclass(frozen=True)
class Rows:
    """So many rows, and their mean lengths; see `xstilts.catalogue.entry.Counts`. `spread` is the factor of doubt."""

    rows: float
    pieces: float
    windows: float = 1
    choices: int = 1
    joined: float | None = None
    spread: float = CATALOGUE_SPREAD

    def times(self, part: float) -> Rows:
        """A part of them, or so many times as many."""
        return Rows(self.rows * part, self.pieces, self.windows, self.choices, self.joined, self.spread)


@dataclass(frozen=True)
class Facts:
    """What was found in a store.

    Attributes:
        sizes: of models that are inputs, by digest.
        rows: of data that are inputs, by digest, split and language.
    """

    sizes: Mapping[str, Size] = field(default_factory=dict)
    rows: Mapping[tuple[str, str, str], Rows] = field(default_factory=dict)


class Sources:
    """The models and rows of a plan's stages, with what is known of them.

    `assumed` are the tasks that come from files which nobody has looked into: they are taken to be as large as the
    catalogue says.
    """

    def __init__(self, plan: Plan, facts: Facts) -> None:
        self._facts = facts
        # key of a stage -> hub id, or name and digest of an input: the model that it goes back to
        self._models: dict[str, tuple[str, str | None]] = {}
        self.assumed: set[str] = set()
        for planned in plan.stages:  # parents first
            self._trace(planned.stage)

    def size(self, stage: Stage) -> Size:
        """The size of the model that a stage goes back to.

        Raises:
            UnknownError: nobody knows it.
        """
        name, digest = self._models[stage.key]
        if digest is None:
            known = MODELS.get(name)
            size = known.size if known else None
        else:
            size = self._facts.sizes.get(digest)
        if size is None:
            raise UnknownError(f"unknown size of {name}")
        return size

    def rows(self, stage: Stage, data: TaskData, use: Use) -> Rows:
        """The rows that a stage reads of a task, over all their languages.

        Raises:
            UnknownError: nobody knows how many there are.
        """
        reference = stage.spec.get("inputs", {}).get(data.role)
        if reference is not None:
            counted = [self._facts.rows.get((reference["digest"], data.split, one)) for one in data.languages]
            known = [one for one in counted if one is not None]
            if len(known) == len(counted):
                return _together(known)
        entry = CATALOGUE.get(data.task.name)
        if entry is None or entry.counts is None:
            raise UnknownError(f"unknown number of rows of {data.task.name}")
        if reference is not None:
            self.assumed.add(data.task.name)
        return _of_catalogue(entry.counts, use).times(len(data.languages))

    def _trace(self, stage: Stage) -> None:
        if stage.kind is Kind.PREPARE:
            if stage.spec["what"] == "model":
                self._models[stage.key] = (stage.spec["source"]["repository"], None)
            return
        reference: dict[str, Any] | None = stage.spec.get("inputs", {}).get("model")
        if reference is not None:
            self._models[stage.key] = (f"store://{reference['name']}", reference["digest"])
            return
        for role, parent in stage.parents.items():
            if role.partition(".")[0] == "model" and parent in self._models:
                self._models[stage.key] = self._models[parent]
                return


def _of_catalogue(counts: Counts, use: Use) -> Rows:
    if use == "test":
        return Rows(counts.test, counts.test_pieces, counts.test_windows)
    rows = counts.train if use == "train" else counts.dev
    return Rows(rows, counts.pieces, counts.windows, counts.choices, counts.joined)


def _together(parts: Iterable[Rows]) -> Rows:
    parts = list(parts)
    rows = sum(one.rows for one in parts)
    if not rows:
        return parts[0]

    def mean(name: str) -> float:
        return sum(one.rows * float(getattr(one, name)) for one in parts) / rows

    return Rows(
        rows,
        mean("pieces"),
        mean("windows"),
        parts[0].choices,
        None if parts[0].joined is None else mean("joined"),
        max(one.spread for one in parts),
    )
