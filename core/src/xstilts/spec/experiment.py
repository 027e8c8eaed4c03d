"""The manifest of an experiment: what `xstilts run` reads and `kubectl apply` sends."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from xstilts.model import Model
from xstilts.spec.fields import (
    LabelKey,
    LabelValue,
    Name,
    Revision,
    Seconds,
    Seed,
    Time,
    refuse,
    unique,
    unique_by,
)
from xstilts.spec.intermediates import IntermediateSpec
from xstilts.spec.models import ModelSpec
from xstilts.spec.scheduling import Budget, Resources
from xstilts.spec.sources import HubId
from xstilts.spec.tasks import TargetSpec, TaskSpec
from xstilts.spec.training import Training

Measure = Literal["meanZeroShot", "transferGap", "worstLanguage"]


class Metadata(Model):
    """The experiment's name and namespace, as Kubernetes has them."""

    name: Name
    namespace: Name | None = None
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=64)] = Field(default_factory=dict)
    annotations: Annotated[dict[LabelKey, Annotated[str, Field(max_length=65_536)]], Field(max_length=64)] = (
        Field(default_factory=dict)
    )


class Analysis(Model):
    """The primary answer, fixed before a run; all else is descriptive."""

    primary: Annotated[tuple[Measure, ...], Field(min_length=1, max_length=3), AfterValidator(unique)] = (
        "meanZeroShot",
        "transferGap",
    )
    correction: Literal["Holm", "BH"] = "Holm"


class StoreUse(Model):
    """The artifact store, by its name, and what is kept in it."""

    name: Name = "default"
    keep: Literal["All", "Intermediate", "Scores"] = "All"


class ExperimentSpec(Model):
    """Models x (none + intermediates) x targets x seeds.

    `data_revisions` are the commits of the hub repositories that tasks and corpora come from; `xstilts pin` writes them.
    """

    models: Annotated[tuple[ModelSpec, ...], Field(min_length=1, max_length=32), unique_by("name")]
    tasks: Annotated[tuple[TaskSpec, ...], Field(max_length=64), unique_by("name")] = ()
    data_revisions: Annotated[dict[HubId, Revision], Field(max_length=64)] = Field(default_factory=dict)
    intermediates: Annotated[tuple[IntermediateSpec, ...], Field(max_length=64), unique_by("name")] = ()
    baseline: bool = True
    targets: Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=32), unique_by("task")]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=64), AfterValidator(unique)]
    training: Training = Training()
    analysis: Analysis = Analysis()
    store: StoreUse = StoreUse()
    resources: Resources = Resources()
    queue_name: Name | None = None
    parallelism: Annotated[int, Field(ge=1, le=1000)] | None = None
    budget: Budget | None = None
    suspend: bool = False
    retry_failed_at: Time | None = None
    active_deadline_seconds: Annotated[Seconds, Field(ge=1)] | None = None
    ttl_seconds_after_finished: Seconds | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.baseline and not self.intermediates:
            sentence = "must have at least 1 entry where baseline is false, was empty: nothing would be run"
            refuse((("intermediates",), sentence, ()))
        return self


class Experiment(Model):
    """A TransferExperiment."""

    api_version: Literal["xstilts.dev/v1alpha1"]
    kind: Literal["TransferExperiment"]
    metadata: Metadata
    spec: ExperimentSpec
