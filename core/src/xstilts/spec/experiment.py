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
    """The measures that answer the question; corrected together."""
    correction: Literal["Holm", "BH"] = "Holm"
    """For testing several: Holm bounds the chance of any false claim, BH the share of false ones."""


class StoreUse(Model):
    """The artifact store, by its name, and what is kept in it."""

    name: Name = "default"
    """On a cluster one of the administrator's stores; locally the name of a folder."""
    keep: Literal["All", "Intermediate", "Scores"] = "All"
    """What stays once it is evaluated: Intermediate gives up the weights of target trainings, Scores those of intermediates too. Of several experiments with a stage, that which keeps most decides."""


class ExperimentSpec(Model):
    """Models x (none + intermediates) x targets x seeds."""

    models: Annotated[tuple[ModelSpec, ...], Field(min_length=1, max_length=32), unique_by("name")]
    """The pretrained models that are compared."""
    tasks: Annotated[tuple[TaskSpec, ...], Field(max_length=64), unique_by("name")] = ()
    """Tasks that need more than their entry in the catalogue: data, languages, and for own tasks type and labels."""
    data_revisions: Annotated[dict[HubId, Revision], Field(max_length=64)] = Field(default_factory=dict)
    """The commits of the hub repositories that tasks and corpora come from; `xstilts pin` writes them."""
    intermediates: Annotated[tuple[IntermediateSpec, ...], Field(max_length=64), unique_by("name")] = ()
    """What is trained between pretraining and the targets."""
    baseline: bool = True
    """Whether `none`, no intermediate at all, is among the conditions."""
    targets: Annotated[tuple[TargetSpec, ...], Field(min_length=1, max_length=32), unique_by("task")]
    """The tasks that are trained in English and evaluated in every language."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=64), AfterValidator(unique)]
    """Every training is done once for each seed."""
    training: Training = Training()
    """Departures from the recipes of the catalogue."""
    analysis: Analysis = Analysis()
    """What is tested, fixed before a run."""
    store: StoreUse = StoreUse()
    """Where artifacts are kept, and which of them."""
    resources: Resources = Resources()
    """What a stage may use, and where it is placed."""
    queue_name: Name | None = None
    """The LocalQueue of Kueue that Jobs wait in."""
    parallelism: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many stages may run at once."""
    budget: Budget | None = None
    """What may be spent; no new attempt begins beyond it."""
    suspend: bool = False
    """Whether running stages are stopped, with a checkpoint, and none is begun."""
    retry_failed_at: Time | None = None
    """Stages that failed before this time are tried again."""
    active_deadline_seconds: Annotated[Seconds, Field(ge=1)] | None = None
    """How long it may be active; what runs then is stopped. Time in suspension does not count."""
    ttl_seconds_after_finished: Seconds | None = None
    """How long after its end it is deleted; the store keeps its artifacts."""

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

    def in_namespace(self, name: str | None) -> Self:
        """The same experiment in a namespace; None is no other than it says itself.

        What an experiment makes that names something without its commit or digest is found by this namespace, so every
        command that takes one goes by here.
        """
        if name is None:
            return self
        return self.model_copy(update={"metadata": self.metadata.model_copy(update={"namespace": name})})
