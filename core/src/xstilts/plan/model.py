"""A plan: the stages of an experiment, which cells need each, and what sharing saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from xstilts.stage import Kind, Stage


@dataclass(frozen=True, order=True)
class Cell:
    """One cell of an experiment's grid, by the names that the experiment gives. It has one score a language."""

    model: str
    intermediate: str
    target: str
    seed: int


@dataclass(frozen=True)
class PlannedStage:
    """A stage, the cells whose scores depend on it, and whether it can be shared outside its experiment.

    `unpinned`: something it depends on is named without a commit, so that its key holds the experiment's own name.
    `swept`: a training of which there are others that differ in the learning rate alone.
    """

    stage: Stage
    labels: frozenset[Cell]
    unpinned: bool = False
    swept: bool = False

    @property
    def key(self) -> str:
        """The stage's key."""
        return self.stage.key

    @property
    def group(self) -> str:
        """The stage's kind in words: trainings by their phase."""
        if self.stage.kind is Kind.TRAIN:
            return f"train {self.stage.spec['phase']}"
        return self.stage.kind.value


@dataclass(frozen=True)
class Naive:
    """How many stages there would be if every cell trained its own models and evaluated them."""

    intermediate: int
    target: int
    evaluate: int


@dataclass(frozen=True)
class Plan:
    """The stages of one experiment, parents before children.

    Attributes:
        name: the experiment's name.
        namespace: where its stages are stored.
        stages: each once, whatever number of cells need it.
        evaluations: for each cell of the grid, the key of the stage that holds its scores.
        naive: the counts without sharing.
    """

    name: str
    namespace: str
    stages: tuple[PlannedStage, ...]
    evaluations: Mapping[Cell, str]
    naive: Naive

    @cached_property
    def by_key(self) -> Mapping[str, PlannedStage]:
        """The stages by key."""
        return {planned.key: planned for planned in self.stages}

    def cells(self) -> tuple[Cell, ...]:
        """All cells: models x (none and intermediates) x targets x seeds, in the experiment's order."""
        return tuple(self.evaluations)

    def evaluate_key(self, cell: Cell) -> str:
        """The key of the evaluate stage whose scores `cell.target` has in this cell.

        Raises:
            KeyError: the grid has no such cell.
        """
        return self.evaluations[cell]

    def of_kind(self, kind: Kind) -> tuple[PlannedStage, ...]:
        """The stages of a kind, in the plan's order."""
        return tuple(planned for planned in self.stages if planned.stage.kind is kind)

    @property
    def swept(self) -> bool:
        """Whether any training is one of a sweep."""
        return any(planned.swept for planned in self.stages)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """How many stages there are of each group: prepare, train intermediate, train target, evaluate, report."""
        counts = dict.fromkeys(("prepare", "train intermediate", "train target", "evaluate", "report"), 0)
        for planned in self.stages:
            counts[planned.group] += 1
        return counts
