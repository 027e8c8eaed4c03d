"""The intermediates of an experiment: named recipes of the phase between pretraining and the targets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from xstilts.model import Model
from xstilts.spec.fields import BASELINE, Language, Name, Ratio, TaskName, Temperature, must, refuse, unique
from xstilts.spec.sources import Corpus


def _not_the_baseline(name: str) -> str:
    if name == BASELINE:
        raise ValueError(name)
    return name


IntermediateName = Annotated[
    Name,
    AfterValidator(_not_the_baseline),
    must(
        "1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends, and not 'none', "
        "which is the baseline (`spec.baseline`)"
    ),
]


class MixingSpec(Model):
    """How several tasks are sampled: by their sizes (capped), evenly, or by their sizes to the power 1/temperature."""

    strategy: Literal["Proportional", "Uniform", "Temperature"] = "Proportional"
    """By their sizes, evenly, or by their sizes to the power 1/temperature."""
    examples_cap: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Larger tasks are counted as this size."""
    temperature: Temperature | None = None
    """For strategy Temperature; 1 is the same as Proportional."""

    @model_validator(mode="after")
    def _fields_of_the_strategy(self) -> Self:
        if self.strategy == "Uniform" and self.examples_cap is not None:
            sentence = "must not be set: strategy Uniform looks at no sizes; leave it out"
            refuse((("examplesCap",), sentence, self.examples_cap))
        if self.strategy == "Temperature" and self.temperature is None:
            refuse((("temperature",), "must be set for strategy Temperature, was absent", None))
        if self.strategy != "Temperature" and self.temperature is not None:
            sentence = f"must not be set: strategy {self.strategy} has none; leave it out"
            refuse((("temperature",), sentence, self.temperature))
        return self


class ContinuedPretraining(Model):
    """Batches of continued pretraining among those of the tasks: `ratio` of all batches."""

    objective: Literal["MLM", "SpanCorruption"]
    """MLM for encoders, SpanCorruption for text-to-text models."""
    ratio: Ratio
    """The share of all batches that train on the objective."""
    corpus: Corpus
    """Where the text comes from."""
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=128), AfterValidator(unique)]
    """The languages of the text."""


class IntermediateSpec(Model):
    """One intermediate: a task or a mix, with continued pretraining or on translated data where it says so."""

    name: IntermediateName
    """What results call it."""
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1, max_length=64), AfterValidator(unique)]
    """One task, or several that are mixed."""
    mixing: MixingSpec | None = None
    """How several tasks are sampled."""
    continued_pretraining: ContinuedPretraining | None = None
    """The pretraining objective, continued beside the tasks."""
    translated_to: (
        Annotated[tuple[Language, ...], Field(min_length=1, max_length=32), AfterValidator(unique)] | None
    ) = None
    """Train on the tasks' translations into these languages, in place of English."""

    @model_validator(mode="after")
    def _mixing_needs_a_mix(self) -> Self:
        if self.mixing is not None and len(self.tasks) == 1:
            sentence = "must not be set: there is one task, and nothing to mix; leave it out"
            refuse((("mixing",), sentence, self.mixing))
        return self

    @model_validator(mode="after")
    def _translated_from_english(self) -> Self:
        refuse(
            *(
                (
                    ("translatedTo", index),
                    "must be another language than 'en', from which is translated",
                    language,
                )
                for index, language in enumerate(self.translated_to or ())
                if language == "en"
            )
        )
        return self
