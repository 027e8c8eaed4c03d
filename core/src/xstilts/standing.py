"""Where an experiment and its stages stand, in the same words for a local run and for a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xstilts.errors import Problem, UserError


class State(StrEnum):
    """Where a stage stands."""

    RUNNING = "Running"
    QUEUED = "Queued"  # an attempt waits in a queue of Kueue
    WAITING = "Waiting"  # an attempt has ended without an output, and the next one follows
    FAILED = "Failed"
    BLOCKED = "Blocked"  # a stage that it needs has failed
    INTERRUPTED = "Interrupted"  # a local run was stopped; the next one continues it
    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    CACHED = "Cached"  # the store had it

    @property
    def done(self) -> bool:
        """Whether its output is there."""
        return self in {State.SUCCEEDED, State.CACHED}

    @property
    def bad(self) -> bool:
        """Whether it will not go on by itself."""
        return self in {State.FAILED, State.BLOCKED}


_ORDER = list(State)  # what a person looks for first stands first


@dataclass(frozen=True)
class StageStanding:
    """A stage.

    Attributes:
        name: what `--stage` takes: the TransferStage's name, or kind and key of a local run.
        kind, title: what it does.
        state: where it stands.
        percent, eta_seconds: how far it is; None while nothing is known.
        score: the main scores of an evaluation, for people; "" where it has none.
        reason: why it goes no further; "" where it does.
    """

    name: str
    kind: str
    title: str
    state: State
    percent: int | None = None
    eta_seconds: int | None = None
    score: str = ""
    reason: str = ""

    @property
    def order(self) -> int:
        """Where it stands in a table: what runs or hangs before what waits, and that before what is done."""
        return _ORDER.index(self.state)

    def to_json(self) -> dict[str, Any]:
        """As `-o json` has it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "title": self.title,
            "state": self.state.value,
            "percent": self.percent,
            "etaSeconds": self.eta_seconds,
            "score": self.score or None,
            "reason": self.reason or None,
        }


@dataclass(frozen=True)
class ExperimentStanding:
    """An experiment.

    Attributes:
        name, namespace: its own.
        place: where it is, for people.
        state: in a word: Running, Suspended, Completed …
        succeeded: True or False once it has come to its end, until then None.
        message: why it goes no further, or how it ended.
        total, done, failed: stages.
        percent, eta_seconds: of all of it; None while nothing is known.
        best: the best score so far, for people.
        age_seconds: since it was made.
        stages: empty where they were not asked for.
    """

    name: str
    namespace: str
    place: str
    state: str
    succeeded: bool | None
    message: str = ""
    total: int = 0
    done: int = 0
    failed: int = 0
    percent: int | None = None
    eta_seconds: int | None = None
    best: str = ""
    age_seconds: int | None = None
    stages: tuple[StageStanding, ...] = ()

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.succeeded is not None

    def to_json(self, *, stages: bool) -> dict[str, Any]:
        """As `-o json` has it."""
        said: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "place": self.place,
            "state": self.state,
            "succeeded": self.succeeded,
            "message": self.message or None,
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "percent": self.percent,
            "etaSeconds": self.eta_seconds,
            "best": self.best or None,
            "ageSeconds": self.age_seconds,
        }
        return said | {"stages": [one.to_json() for one in self.stages]} if stages else said


@dataclass(frozen=True)
class Explanation:
    """The one reason why an experiment does not advance.

    Attributes:
        name, place: which experiment.
        state: in a word, as in its standing.
        advancing: whether it does.
        reason: the sentence.
        stage: the title of the stage that it is about; "" where it is about none.
        event: the last thing that the cluster tells of it.
        log: the last line that it has said.
        remedy: what to do; "" where nothing is to be done.
    """

    name: str
    place: str
    state: str
    advancing: bool
    reason: str
    stage: str = ""
    event: str = ""
    log: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `-o json` has it."""
        return {
            "name": self.name,
            "place": self.place,
            "state": self.state,
            "advancing": self.advancing,
            "reason": self.reason,
            "stage": self.stage or None,
            "event": self.event or None,
            "log": self.log or None,
            "remedy": self.remedy or None,
        }


def choose_stage(name: str, stages: Iterable[StageStanding], wanted: str | None) -> StageStanding:
    """The stage that `wanted` is a part of the name or title of; for None the one that a person asks about first.

    Raises:
        UserError: there is none.
    """
    known = sorted(stages, key=lambda one: one.order)
    if wanted is not None:
        exact = [one for one in known if wanted in {one.name, one.title}]
        found = exact or [one for one in known if wanted in one.name or wanted in one.title]
    else:
        begun = [one for one in known if one.state not in {State.PENDING, State.BLOCKED, State.CACHED}]
        found = sorted(begun, key=lambda one: (not one.state.bad, one.order))
    if not found:
        titles = "; ".join(one.title for one in known[:8])
        problem = (
            f"must be a part of a stage's name or title, was {wanted!r} (there: {titles or 'none'})"
            if wanted is not None
            else f"must have a stage that has begun, has none; `xstilts explain {name}` says why"
        )
        raise UserError(Problem("--stage" if wanted is not None else f"experiment {name}", problem))
    return found[0]


def duration(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def age(seconds: float) -> str:
    """Seconds as kubectl shows an age: 45s, 12m, 3h, 5d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(max(0, seconds))}s"
