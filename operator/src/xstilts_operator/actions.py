"""What a decision wants done: plain data, made by `reconcile`, executed in order by the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

Object = Mapping[str, Any]  # a Kubernetes object as JSON has it


class Resource(StrEnum):
    """The kinds of object that the operator reads or writes."""

    EXPERIMENT = "TransferExperiment"
    STAGE = "TransferStage"
    JOB = "Job"
    POD = "Pod"
    SERVICE = "Service"
    CONFIG_MAP = "ConfigMap"
    WORKLOAD = "Workload"  # Kueue's; only read


@dataclass(frozen=True)
class Reference:
    """One object: its kind, where it is, and its UID where it must be this one and no namesake."""

    resource: Resource
    namespace: str
    name: str
    uid: str | None = None


@dataclass(frozen=True)
class Seen:
    """An object as a decision saw it, where the decision is wrong if it is another by now.

    Attributes:
        reference: which; one of another UID is none.
        version: its resourceVersion; "" where it was not there.
        generation: where this is said, a newer version of the same generation will do: only the spec matters.
    """

    reference: Reference
    version: str
    generation: int | None = None


@dataclass(frozen=True)
class Create:
    """POST an object. One that is there already is read and adopted into the cache: the next decision sees it."""

    resource: Resource
    body: Object


@dataclass(frozen=True)
class CreateJob:
    """POST the Job of an attempt, after a fresh read has shown that the stage's status still is at that attempt."""

    stage: Reference
    attempt: int
    body: Object


@dataclass(frozen=True)
class ApplyStatus:
    """Apply the whole of the status that the operator owns. With a version, only if nobody has written since.

    `rests_on`, here and below: what is read afresh before, since the decision holds only if it still is as it was seen.
    """

    target: Reference
    status: Object
    resource_version: str | None = None
    rests_on: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class SetOwners:
    """Replace a stage's owner references, only if nobody has written since."""

    target: Reference
    owners: Sequence[Object]
    resource_version: str
    rests_on: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Delete:
    """DELETE the object with this UID; its dependants first where `propagation` is Foreground. Gone is fine."""

    target: Reference
    propagation: Literal["Foreground", "Background"] = "Foreground"
    rests_on: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Emit:
    """An Event that a person sees in `kubectl describe`. Best effort."""

    about: Reference
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action = Create | CreateJob | ApplyStatus | SetOwners | Delete | Emit


@dataclass(frozen=True)
class Decision:
    """What to do now, in order, and in how many seconds to look again although nothing has happened (None: never)."""

    actions: tuple[Action, ...] = ()
    again_in: float | None = None
