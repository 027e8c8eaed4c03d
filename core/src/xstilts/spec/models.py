"""The pretrained models of an experiment."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from xstilts.model import Model
from xstilts.spec.fields import ModuleName, Name, RatioOrZero, Revision, refuse, unique
from xstilts.spec.scheduling import StageResources
from xstilts.spec.sources import Pretrained, is_hub_id
from xstilts.stage import Family, Form, Pooling


class LoraSpec(Model):
    """Low-rank adapters, which are trained instead of the model's own weights, and merged into them at a stage's end."""

    rank: Annotated[int, Field(ge=1, le=1024)]
    """The width of an adapter."""
    alpha: Annotated[int, Field(ge=1, le=4096)] | None = None
    """The adapter's output is scaled by alpha / rank; if left out, twice the rank."""
    dropout: RatioOrZero = "0"
    """Dropout on the input of an adapter."""
    target_modules: (
        Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=16), AfterValidator(unique)] | None
    ) = None
    """The names of the linear layers that get one; if left out, the queries and values of attention."""


class ModelSpec(Model):
    """One pretrained model. What is left out comes from the catalogue, where it knows the hub id."""

    name: Name
    """What results call it."""
    pretrained: Pretrained
    """Where its checkpoint comes from."""
    revision: Revision | None = None
    """The commit of a hub id; `xstilts pin` writes it."""
    form: Form | None = None
    """How the backbone is used: with own heads, or text to text with all of its weights."""
    family: Family | None = None
    """What decides recipe, form and pooling."""
    pooling: Pooling | None = None
    """How a sequence becomes one vector."""
    layer: Annotated[int, Field(ge=-256, le=256)] | None = None
    """The hidden state that is pooled for retrieval: 0 is the embeddings, -1 the last."""
    prefix: Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    """What stands before a sentence in retrieval."""
    lora: LoraSpec | None = None
    """Train low-rank adapters instead of all weights."""
    stage_resources: StageResources | None = None
    """What its stages need, if other than `spec.resources`."""

    @model_validator(mode="after")
    def _only_a_hub_id_has_commits(self) -> Self:
        if self.revision is not None and not is_hub_id(self.pretrained):
            sentence = (
                f"must not be set: only a hub id has commits, and `pretrained` was {self.pretrained!r}; "
                "leave it out"
            )
            refuse((("revision",), sentence, self.revision))
        return self
