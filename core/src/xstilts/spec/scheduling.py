"""Where and when stages run. Local runs use `cpu` as the number of threads; the rest is for a cluster."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xstilts.model import Model
from xstilts.spec.fields import DottedName, LabelKey, LabelValue, Quantity, Seconds, refuse

Gpus = Annotated[int, Field(ge=0, le=64)]  # a node
Cpus = Annotated[int, Field(ge=1, le=1024)]
Nodes = Annotated[int, Field(ge=1, le=64)]


class StageResources(Model):
    """What the stages of one model need, where it differs from `spec.resources`."""

    gpus: Gpus | None = None
    """GPUs on each node."""
    cpu: Cpus | None = None
    """CPUs on each node, and the number of threads that compute."""
    memory: Quantity | None = None
    """Memory on each node."""
    nodes: Nodes | None = None
    """Nodes of one stage."""


class Toleration(Model):
    """A toleration, as Kubernetes has it."""

    key: LabelKey | None = None
    """The taint's key; with Exists and none, every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the taint's value must be equal."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; every one where absent."""
    toleration_seconds: Seconds | None = None
    """How long effect NoExecute is tolerated."""

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            refuse((("value",), "must not be set for operator Exists; leave it out", self.value))
        if self.operator == "Equal" and self.key is None:
            refuse((("key",), "must be set for operator Equal, was absent", None))
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            sentence = "must not be set: only effect NoExecute has it; leave it out"
            refuse((("tolerationSeconds",), sentence, self.toleration_seconds))
        return self


class Resources(Model):
    """What a stage may use, and the allow-list of pod fields. CPU threads are part of what decides a stage's bits."""

    gpus: Gpus = 0
    """GPUs on each node."""
    cpu: Cpus = 2
    """CPUs on each node, and the number of threads that compute."""
    memory: Quantity | None = None
    """Memory on each node; if left out, the administrator's default."""
    nodes: Nodes = 1
    """Nodes of one stage."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints of nodes that are tolerated."""
    priority_class_name: DottedName | None = None
    """The PriorityClass of pods."""
    runtime_class_name: DottedName | None = None
    """The RuntimeClass of pods."""


class Budget(Model):
    """What the experiment may spend; the operator admits no new attempt beyond it."""

    gpu_hours: Annotated[int, Field(ge=1, le=10_000_000)]
    """Hours of one GPU, over all attempts that this experiment has paid for."""
