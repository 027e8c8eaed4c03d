"""The scores of an experiment, tidy: one number a row, and what is known of its targets beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xstilts.catalogue.overlap import Relation, TrainingOverlap
from xstilts.stage import Family
from xstilts.task import Metric

UNRELATED = Relation(overlap=TrainingOverlap.NONE, language_seen=False)


@dataclass(frozen=True)
class ScoreRow:
    """One number, in percent. `seed` is None where nothing random decides it: retrieval by an untrained model."""

    model: str
    intermediate: str
    target: str
    seed: int | None
    language: str
    metric: str
    value: float


@dataclass(frozen=True)
class Evaluation:
    """A cell of the grid: what is scored in all languages at once. `seed` as in ScoreRow."""

    model: str
    intermediate: str
    target: str
    seed: int | None

    def __str__(self) -> str:
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f"{self.model} / {self.intermediate} / {self.target}{seed}"


@dataclass(frozen=True)
class Answers:
    """A language's answers: `right` has a digit an item, 1 or 0; items with equal numbers in `clusters` hang together.

    Where clusters are `shared`, an item of another language with that number hangs together with them too: retrieval's
    languages have sentences in common, and each also has some of its own.
    """

    right: str
    clusters: tuple[int, ...]
    shared: bool = False


@dataclass(frozen=True)
class IntermediateTraits:
    """What an intermediate is made of: its tasks, and what it has beside them (continued pretraining, translated data)."""

    tasks: tuple[str, ...]
    variant: str = ""


@dataclass(frozen=True)
class ChosenRate:
    """What the sweep of one training came to.

    Attributes:
        model, intermediate, seed: of the training, by their names.
        phase: `intermediate` or `target`.
        tasks: what it trains on.
        learning_rate: the one that was chosen.
        dev: every rate that was tried, the smallest first, with its score in percent on English dev.
    """

    model: str
    intermediate: str
    phase: str
    tasks: tuple[str, ...]
    seed: int
    learning_rate: str
    dev: Mapping[str, float]

    @property
    def runner_up(self) -> str:
        """The best of the rates that were not chosen; of equals the smallest."""
        return max((rate for rate in self.dev if rate != self.learning_rate), key=lambda rate: self.dev[rate])

    @property
    def edge(self) -> str:
        """`smallest` or `largest`, where the rate is that of all that were tried; else nothing."""
        tried = list(self.dev)
        return {tried[0]: "smallest", tried[-1]: "largest"}.get(self.learning_rate, "")


@dataclass(frozen=True)
class Results:
    """All that an experiment's evaluations have given so far.

    Attributes:
        experiment: its name.
        models: the names, in the file's order, each with its family.
        intermediates: the names in the file's order, `none` first where it is there.
        targets: the names in the file's order, each with its metric.
        untrained: the targets for which nothing is trained: retrieval.
        rows: the scores.
        missing: the planned evaluations that have no scores.
        answers: evaluation -> language -> which items were right; of targets that are scored so, where it is known.
        chance: target -> language -> percent that a blind guess gets; only where that means something.
        relations: (intermediate, target, language) -> how they are related, where they are.
        traits: of the intermediates, without `none`.
        dev: evaluation -> the score, in percent, on English dev that its checkpoint was kept for; where it is known.
        pretrained: the hub ids, or what else the models are named by in the file, by the models' names.
        rates: what sweeps have come to, model by model and intermediate by intermediate; only a store knows it.
        from_files: the targets whose rows, or the rows that they train on, the experiment brings itself.
        departures: (model, target) -> in what the training without an intermediate, or where nothing is trained the use of the
            model, departs from the catalogue, in words; only where it does.
    """

    experiment: str
    models: Mapping[str, Family]
    intermediates: tuple[str, ...]
    targets: Mapping[str, Metric]
    rows: tuple[ScoreRow, ...]
    untrained: tuple[str, ...] = ()
    missing: tuple[Evaluation, ...] = ()
    answers: Mapping[Evaluation, Mapping[str, Answers]] = field(default_factory=dict)
    chance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    relations: Mapping[tuple[str, str, str], Relation] = field(default_factory=dict)
    traits: Mapping[str, IntermediateTraits] = field(default_factory=dict)
    dev: Mapping[Evaluation, float] = field(default_factory=dict)
    pretrained: Mapping[str, str] = field(default_factory=dict)
    from_files: tuple[str, ...] = ()
    rates: tuple[ChosenRate, ...] = ()
    departures: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def partial(self) -> bool:
        """Whether a planned evaluation has no scores."""
        return bool(self.missing)

    def relation(self, intermediate: str, target: str, language: str) -> Relation:
        """How an intermediate's training data relates to a target in a language."""
        return self.relations.get((intermediate, target, language), UNRELATED)
