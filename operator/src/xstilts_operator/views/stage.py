"""A TransferStage as decisions see it, and its status as they write it: one is the other's inverse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple, Self

from pydantic import ValidationError

from xstilts.spec import Resources
from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.tolerant import (
    count,
    decimal,
    integer,
    mapping,
    mappings,
    moment,
    rounded,
    stamp,
    text,
    texts,
    token,
)
from xstilts_operator.views.common import Condition, find_condition, view_conditions

SUCCEEDED: Final = "Succeeded"  # the summary condition of stages and experiments
USAGE_LIMIT: Final = 32  # payers that are told apart; what is the others are one entry
LOG_LIMIT: Final = 1024
MESSAGE_LIMIT: Final = 1024

Scores = Mapping[str, Mapping[str, Mapping[str, str]]]  # task -> metric -> language -> decimal


class StageState(StrEnum):
    """Where a stage stands."""

    PENDING = "Pending"  # no attempt is under way, and none has failed since it was last asked for
    ACTIVE = "Active"  # an attempt is under way
    WAITING = "Waiting"  # an attempt has ended without an output; the next one follows
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Owner:
    """An owner reference: an experiment that needs the stage."""

    uid: str
    name: str
    kind: str


@dataclass(frozen=True)
class AttemptView:
    """An attempt, frozen when it was admitted.

    Attributes:
        number: from 1; never used again.
        started: when it was admitted.
        experiment: the name of the payer: it took the attempt within its parallelism, and its placement is used.
        experiment_uid: the payer's UID.
        gpus: of all its pods together.
        queue: Kueue's LocalQueue, or None.
        placement: resources and the other pod fields that an experiment may set.
    """

    number: int
    started: datetime
    experiment: str
    experiment_uid: str
    gpus: int = 0
    queue: str | None = None
    placement: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many pods work beside each other."""
        return count(self.placement.get("nodes")) or 1

    def to_json(self) -> dict[str, Any]:
        """As it stands in a status."""
        said: dict[str, Any] = {
            "number": self.number,
            "startedAt": stamp(self.started),
            "experiment": self.experiment,
            "experimentUID": self.experiment_uid,
            "gpus": self.gpus,
            "placement": self.placement,
        }
        return said if self.queue is None else said | {"queueName": self.queue}


@dataclass(frozen=True)
class Usage:
    """What an experiment has paid for a stage."""

    experiment: str
    experiment_uid: str
    gpu_seconds: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in a status."""
        return {
            "experiment": self.experiment,
            "experimentUID": self.experiment_uid,
            "gpuSeconds": self.gpu_seconds,
        }


class Progress(NamedTuple):
    """How far an attempt is, and the seconds that it takes yet, as its pod has told; None where it has not."""

    percent: int | None = None
    remaining: int | None = None


@dataclass(frozen=True)
class Failure:
    """How the last attempt without an output ended.

    `percent` is of the progress that it had told, or one before it; `parent` the key of the stage whose output it missed.
    """

    attempt: int
    reason: str
    message: str = ""
    exit_code: int | None = None
    log: str = ""
    percent: int | None = None
    parent: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in a status."""
        said: dict[str, Any] = {"attempt": self.attempt, "reason": self.reason}
        optional = {
            "message": self.message or None,
            "exitCode": self.exit_code,
            "log": self.log or None,
            "progressPercent": self.percent,
            "parent": self.parent,
        }
        return said | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True)
class StageView:
    """A TransferStage.

    Attributes:
        owners: its owner references, all of them.
        key, kind, store, parents, stage, title: of its spec; `parents` are names of TransferStages, `stage` is JSON.
        state: where it stands; `reason` and `message` say why it goes no further.
        since: when its condition Succeeded last changed.
        attempt: the last one, under way or not.
        failures: attempts that are counted, since it was last asked for.
        resumes: attempts that were ended by others, since then; `stalled` of them in a row without progress.
        retry_after: not before then.
        dropped: its weights have been dropped since it succeeded, or may be at any moment.
        cached: its output was in the store, or another made it before it was asked for here.
        score: the main scores for people.
        usage: who has paid how much.
        percent, remaining: as a pod has told, of the attempt `told`: of which the Job has been made, then.
        written: the status as it is there, without `progress`, which is another's.
    """

    namespace: str
    name: str
    uid: str = ""
    version: str = ""
    deleting: bool = False
    owners: tuple[Owner, ...] = ()
    key: str = ""
    kind: str = ""
    store: str = ""
    parents: tuple[str, ...] = ()
    stage: str = field(default="", repr=False)
    title: str = ""
    state: StageState = StageState.PENDING
    reason: str = ""
    message: str = ""
    since: datetime | None = None
    attempt: AttemptView | None = None
    failures: int = 0
    resumes: int = 0
    stalled: int = 0
    retry_after: datetime | None = None
    dropped: bool = False
    cached: bool = False
    scores: Scores = field(default_factory=dict, repr=False)
    score: str = ""
    outputs_digest: str | None = None
    completed: datetime | None = None
    usage: tuple[Usage, ...] = ()
    last_failure: Failure | None = None
    percent: int | None = None
    remaining: int | None = None
    told: int = 0
    written: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def reference(self) -> Reference:
        """This very object."""
        return Reference(Resource.STAGE, self.namespace, self.name, self.uid)

    @property
    def number(self) -> int:
        """The number of the last attempt, 0 before the first."""
        return self.attempt.number if self.attempt else 0

    @property
    def progress(self) -> Progress:
        """Of the last attempt: what has been told of one before it says nothing."""
        return Progress(self.percent, self.remaining) if self.told == self.number else Progress()

    @property
    def succeeded(self) -> bool:
        """Whether it is done: its output was there."""
        return self.state is StageState.SUCCEEDED

    @property
    def readable(self) -> bool:
        """Whether its output is there for others to begin from."""
        return self.succeeded and not self.dropped

    @property
    def active(self) -> bool:
        """Whether an attempt is under way."""
        return self.state is StageState.ACTIVE

    def to(self, state: StageState, now: datetime, **changes: Any) -> Self:
        """The stage in another state; why it goes no further is cleared unless it is said."""
        moved = replace(self, **{"reason": "", "message": "", "retry_after": None, "state": state, **changes})
        changed = self.since is None or _SUMMARY.get(self.state) != _SUMMARY.get(state)
        return replace(moved, since=rounded(now)) if changed else moved

    def status(self) -> dict[str, Any]:
        """The whole status that the operator owns."""
        optional = {
            "reason": self.reason or None,
            "message": self.message or None,
            "attempt": self.attempt.to_json() if self.attempt else None,
            "failures": self.failures or None,
            "resumes": self.resumes or None,
            "stalledResumes": self.stalled or None,
            "retryAfter": stamp(self.retry_after) if self.retry_after else None,
            "weightsDropped": self.dropped or None,
            "cached": self.cached or None,
            "scores": self.scores or None,
            "score": self.score or None,
            "outputsDigest": self.outputs_digest,
            "completedAt": stamp(self.completed) if self.completed else None,
            "usage": [one.to_json() for one in self.usage] or None,
            "lastFailure": self.last_failure.to_json() if self.last_failure else None,
        }
        summary = Condition(
            type=SUCCEEDED,
            status=_SUMMARY.get(self.state, "Unknown"),
            reason=self.reason or self.state.value,
            message=self.message,
            since=self.since,
        )
        said: dict[str, Any] = {"state": self.state.value, "conditions": [summary.to_json()]}
        return said | {name: value for name, value in optional.items() if value is not None}


_SUMMARY: Final = {StageState.SUCCEEDED: "True", StageState.FAILED: "False"}


def view_stage(obj: Object) -> StageView:
    """Read a TransferStage, whatever stands in it."""
    metadata, spec, status = mapping(obj, "metadata"), mapping(obj, "spec"), mapping(obj, "status")
    progress = mapping(status, "progress")
    state = text(status.get("state"))
    condition = find_condition(view_conditions(status.get("conditions")), SUCCEEDED)
    attempt = _attempt(status.get("attempt"))
    known = StageState(state) if state in set(StageState) else StageState.PENDING
    if known is StageState.ACTIVE and attempt is None:
        known = StageState.PENDING  # nothing says which attempt it would be
    percent = integer(progress.get("percent"))
    return StageView(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=text(metadata.get("resourceVersion")),
        deleting="deletionTimestamp" in metadata,
        owners=tuple(
            Owner(text(owner.get("uid")), text(owner.get("name")), text(owner.get("kind")))
            for owner in mappings(metadata.get("ownerReferences"))
        ),
        key=text(spec.get("key")),
        kind=text(spec.get("kind")),
        store=text(spec.get("store")),
        parents=texts(spec.get("parentStages")),
        stage=text(spec.get("stage"), 200_000),
        title=text(spec.get("title")),
        state=known,
        reason=token(status.get("reason")),
        message=text(status.get("message"), MESSAGE_LIMIT),
        since=condition.since if condition else None,
        attempt=attempt,
        failures=count(status.get("failures")),
        resumes=count(status.get("resumes")),
        stalled=count(status.get("stalledResumes")),
        retry_after=moment(status.get("retryAfter")),
        dropped=status.get("weightsDropped") is True,
        cached=status.get("cached") is True,
        scores=view_scores(status.get("scores")),
        score=text(status.get("score"), 256),
        outputs_digest=_digest(status.get("outputsDigest")),
        completed=moment(status.get("completedAt")),
        usage=_usage(status.get("usage")),
        last_failure=_failure(status.get("lastFailure")),
        percent=percent if percent is not None and percent <= 100 else None,
        remaining=integer(progress.get("estimatedRemainingSeconds")),
        told=count(progress.get("attempt")),
        written={name: value for name, value in status.items() if name != "progress"},
    )


def view_scores(value: Any) -> Scores:
    """The well-formed scores: task -> metric -> language -> decimal."""
    return {
        str(task): {
            str(metric): {
                str(language): number
                for language, said in islice(languages.items(), 256)
                if (number := decimal(said)) is not None
            }
            for metric, languages in islice(metrics.items(), 32)
            if isinstance(languages, Mapping)
        }
        for task, metrics in islice(mapping(value).items(), 64)
        if isinstance(metrics, Mapping)
    }


def _attempt(value: Any) -> AttemptView | None:
    said = mapping(value)
    number, started = integer(said.get("number")), moment(said.get("startedAt"))
    if not number:
        return None
    return AttemptView(
        number=number,
        started=started or datetime.fromisoformat("1970-01-01T00:00:00Z"),
        experiment=text(said.get("experiment"), 253),
        experiment_uid=text(said.get("experimentUID"), 64),
        gpus=count(said.get("gpus")),
        queue=text(said.get("queueName"), 253) or None,
        placement=_placement(said.get("placement")),
    )


def _placement(value: Any) -> Mapping[str, Any]:
    """What an attempt was given; nothing where it is not what an experiment may ask for."""
    said = mapping(value)
    try:
        Resources.model_validate(said)
    except ValidationError:
        return {}
    return said


def _digest(value: Any) -> str | None:
    said = text(value, 64)
    return said if re.fullmatch(r"[0-9a-f]{64}", said) else None


def _usage(value: Any) -> tuple[Usage, ...]:
    """Each payer once."""
    found: dict[str, Usage] = {}
    for one in mappings(value):
        uid, seconds = text(one.get("experimentUID"), 64), integer(one.get("gpuSeconds"))
        if uid and seconds is not None:
            found.setdefault(uid, Usage(text(one.get("experiment"), 253), uid, seconds))
    return tuple(found.values())[:USAGE_LIMIT]


def _failure(value: Any) -> Failure | None:
    said = mapping(value)
    reason, percent = token(said.get("reason")), integer(said.get("progressPercent"))
    if not reason:
        return None
    return Failure(
        attempt=count(said.get("attempt")),
        reason=reason,
        message=text(said.get("message")),
        exit_code=integer(said.get("exitCode")),
        log=text(said.get("log"), LOG_LIMIT),
        percent=percent if percent is not None and percent <= 100 else None,
        parent=_digest(said.get("parent")),
    )
