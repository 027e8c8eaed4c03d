"""How an experiment departs from the catalogue's recipes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from xstilts.model import Model
from xstilts.spec.fields import LearningRate, Name, RatioOrZero, TaskName, refuse, unique
from xstilts.stage import Family, Precision


class Override(Model):
    """Hyperparameters that are set; those left out stay as they are."""

    learning_rate: LearningRate | None = None
    """The highest rate, reached at the end of the warm-up."""
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Passes over the data."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Examples in each step."""
    max_length: Annotated[int, Field(ge=8, le=16_384)] | None = None
    """The most tokens of an example."""
    max_examples: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """How many examples are trained on: drawn at random, the same for every seed."""
    warmup_ratio: RatioOrZero | None = None
    """The share of all steps in which the learning rate grows."""
    weight_decay: RatioOrZero | None = None
    """Weight decay, of weights but not of biases and norms."""
    optimizer: Literal["AdamW", "Adafactor"] | None = None
    """The optimiser."""
    precision: Precision | None = None
    """The numbers in which matrix products are computed; left out, BF16 on a GPU that has it and FP32 on a CPU."""


class Sweep(Model):
    """A grid; the best is picked on English dev, a model, intermediate, target and seed."""

    learning_rate: Annotated[
        tuple[LearningRate, ...], Field(min_length=1, max_length=16), AfterValidator(unique)
    ]
    """The rates that are tried."""


class Match(Model):
    """Which stages an override is for: those that all of its fields name."""

    phase: Literal["intermediate", "target"] | None = None
    """Trainings of intermediates, or of targets."""
    task: TaskName | None = None
    """The task that is trained, alone or in a mix."""
    model: Name | None = None
    """The name of a model here."""
    family: Family | None = None
    """The family of models."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            refuse(
                (
                    (),
                    "must set phase, task, model or family, was empty; what is for all stages stands in defaults",
                    {},
                )
            )
        return self


class MatchedOverride(Override):
    """An override for some stages. A later one wins over an earlier one."""

    match: Match
    """The stages that it is for."""
    sweep: Sweep | None = None
    """The learning rates that are tried there; English dev decides."""

    @model_validator(mode="after")
    def _sets_something(self) -> Self:
        if self.model_fields_set == {"match"}:
            refuse(((), "must set a hyperparameter beside match, was match alone", None))
        if self.learning_rate is not None and self.sweep is not None:
            sentence = "must not be set beside sweep.learningRate; keep one of them"
            refuse((("learningRate",), sentence, self.learning_rate))
        return self


class Training(Model):
    """Hyperparameters that are not the recipes' own."""

    learning_rate: LearningRate | None = None
    """Short for `defaults.learningRate`."""
    defaults: Override | None = None
    """Hyperparameters for every training."""
    overrides: Annotated[tuple[MatchedOverride, ...], Field(max_length=64)] = ()
    """Hyperparameters for some trainings; a later override wins."""
    sweep: Sweep | None = None
    """The learning rates that are tried; English dev decides."""

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """All grids: that of every training, and those of overrides."""
        said = (self.sweep, *(override.sweep for override in self.overrides))
        return tuple(sweep for sweep in said if sweep is not None)

    @model_validator(mode="after")
    def _one_learning_rate(self) -> Self:
        given = {
            "defaults.learningRate": self.defaults and self.defaults.learning_rate,
            "sweep.learningRate": self.sweep and self.sweep.learning_rate,
        }
        places = [place for place, value in given.items() if value]
        if self.learning_rate is not None and places:
            sentence = f"must not be set beside {' and '.join(places)}; keep one of them"
            refuse((("learningRate",), sentence, self.learning_rate))
        if len(places) == 2:
            sentence = "must not be set beside sweep.learningRate; keep one of them"
            refuse((("defaults", "learningRate"), sentence, given["defaults.learningRate"]))
        return self

    @property
    def base(self) -> Override:
        """The defaults, with the bare learning rate among them."""
        defaults = self.defaults or Override()
        if self.learning_rate is None:
            return defaults
        return defaults.model_copy(update={"learning_rate": self.learning_rate})
