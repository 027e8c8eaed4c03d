"""Why an experiment on a cluster does not advance: one reason, from its conditions, the Events and the last log line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xstilts.cluster.client import Object
from xstilts.cluster.reading import FINAL_REASONS, condition, is_current
from xstilts.standing import ExperimentStanding, Explanation, StageStanding, State

UNSEEN_SECONDS: Final = 15  # an operator that works has looked at an experiment by then

_REFUSED: Final = "tell who looks after the namespace's quotas and policies, or after the operator"
_REMEDIES: Final = {
    "InvalidSpec": "mend the field in the file, then: xstilts submit FILE --edit",
    "StoreUnknown": "name a store of that list in spec.store.name, then: xstilts submit FILE --edit",
    "StoreNotShareable": "tell who looks after the operator, or name another store: xstilts submit FILE --edit",
    "StoreUnavailable": "tell who looks after the operator; `kubectl get pvc` shows the namespace's claims",
    "Refused": _REFUSED,
    "Suspended": "xstilts resume {name}",
    "BudgetSpent": "raise spec.budget.gpuHours in the file, then: xstilts submit FILE --edit",
    "DeadlineExceeded": "raise spec.activeDeadlineSeconds in the file, then: xstilts submit FILE --edit",
    "Failed": "mend what the message and `xstilts logs {name}` say, then: xstilts retry {name} --failed",
    "PartlyFailed": "mend what the message and `xstilts logs {name}` say, then: xstilts retry {name} --failed",
    "Queued": "nothing, if others use the queue; `xstilts doctor` shows what it has",
    "LookingUp": "nothing, if it has just begun",
}
_STAGE_REMEDIES: Final = {
    "Unschedulable": "ask for less in spec.resources, or wait for a node with room: `xstilts doctor` shows what there is",
    "ImagePullBackOff": "the operator's settings must name an image that the nodes can pull: tell who looks after it",
    "ErrImagePull": "the operator's settings must name an image that the nodes can pull: tell who looks after it",
    "CreateContainerConfigError": "a Secret or volume claim of the store is missing: tell who looks after the operator",
    "Refused": _REFUSED,
    "PodsMissing": "nothing, if a quota is used up by others; else tell who looks after the namespace",
    "PodUnprepared": "the Events of the pod say whether a volume or the network is missing: tell who looks after the cluster",
    "NodeLost": "tell who looks after the cluster: once the node is known to be off, its Node may be deleted",
    "BackingOff": "nothing: it is tried again by itself; if it fails again for the same reason, mend that",
    "Resuming": "nothing: it is continued from its checkpoint by itself",
}


@dataclass(frozen=True)
class Evidence:
    """What was found about the stage that is in the way: all of it may be missing.

    Attributes:
        stage: the TransferStage.
        events: Events about the experiment, the stage, its Job and pods.
        log: the last line of its pod.
    """

    stage: Object | None = None
    events: Sequence[Object] = ()
    log: str = ""


def blamed(stages: Iterable[StageStanding]) -> StageStanding | None:
    """The stage that is in an experiment's way: the first that failed, else that hangs, else that waits."""
    for states in ((State.FAILED,), (State.RUNNING, State.QUEUED), (State.WAITING,), (State.BLOCKED,)):
        found = [one for one in stages if one.state in states and (one.reason or one.state is State.FAILED)]
        if found:
            return found[0]
    return None


def explain(standing: ExperimentStanding, obj: Object, evidence: Evidence) -> Explanation:
    """The one reason."""
    said = condition(obj)
    works = any(one.state is State.RUNNING and not one.reason for one in standing.stages)
    if standing.succeeded:
        return _of(standing, "it has come to its end: every stage is done")
    suspended = (obj.get("spec") or {}).get("suspend") is True
    if not is_current(obj):
        if standing.age_seconds is not None and standing.age_seconds < UNSEEN_SECONDS and not said:
            return _of(standing, "it has just been submitted: the operator has not looked at it yet")
        what = "the last edit of it" if said else "it"
        return _of(
            standing,
            f"no operator has looked at {what}",
            remedy="`xstilts doctor` says whether one runs and serves this namespace",
        )
    if suspended and not standing.over:
        return _of(standing, "spec.suspend is true", remedy=_REMEDIES["Suspended"].format(name=standing.name))
    if works and not standing.over and said.get("reason") == "Running":
        return _of(standing, said.get("message", ""), advancing=True)
    return _hindered(standing, said, evidence)


def _hindered(standing: ExperimentStanding, said: dict[str, str], evidence: Evidence) -> Explanation:
    reason = said.get("reason", "")
    remedy = _REMEDIES.get(reason, "").format(name=standing.name)
    message = said.get("message", "")
    event = _last_event(evidence.events)
    if evidence.stage is None or reason in FINAL_REASONS | {
        "Refused",
        "StoreNotShareable",
        "StoreUnavailable",
        "StoreUnknown",
        "BudgetSpent",
        "DeadlineExceeded",
    }:
        return _of(standing, message or reason, event=event if not message else "", remedy=remedy)
    status = evidence.stage.get("status") or {}
    failure = status.get("lastFailure") or {}
    title = (evidence.stage.get("spec") or {}).get("title", "")
    log = evidence.log or _last_line(failure.get("log", ""))
    why = status.get("message") or failure.get("message") or status.get("reason") or message
    word = status.get("reason") or failure.get("reason") or ""
    code = failure.get("exitCode")
    told = code is None or status.get("state") != "Failed" or f"exit code {code}" in why
    ended = "" if told else f" (exit code {code})"
    sentence = why if not word or why.startswith(word) else f"{word}{ended}: {why}"
    advancing = not standing.over and reason == "Running"
    return _of(
        standing,
        sentence,
        advancing=advancing,
        stage=title,
        event=event,
        log=log,
        remedy=_STAGE_REMEDIES.get(word, "") if not standing.over else remedy,
    )


def _of(standing: ExperimentStanding, reason: str, *, advancing: bool = False, **more: Any) -> Explanation:
    return Explanation(standing.name, standing.place, standing.state, advancing, reason, **more)


def _last_event(events: Sequence[Object]) -> str:
    """The last warning, else the last of all."""

    def time(event: Object) -> str:
        return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")

    warnings = [one for one in events if one.get("type") == "Warning"]
    last = max(warnings or events, key=time, default=None)
    if last is None:
        return ""
    kind, name = last["involvedObject"].get("kind", ""), last["involvedObject"].get("name", "")
    return f"{last.get('reason', '')}: {last.get('message', '')} ({kind} {name})"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
