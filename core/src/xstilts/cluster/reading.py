"""Objects of the cluster as standings; whatever is missing in one is not known, and no error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from xstilts.cluster.client import Object
from xstilts.standing import ExperimentStanding, StageStanding, State

FINAL_REASONS: Final = frozenset({"InvalidSpec", "PlanUnsupported", "PlanTooLarge"})
"""With these an experiment waits for an edit, and no other end comes."""

_STATES: Final = {
    "Active": State.RUNNING,
    "Waiting": State.WAITING,
    "Succeeded": State.SUCCEEDED,
    "Failed": State.FAILED,
}


def experiment_standing(
    obj: Object, place: str, stages: Iterable[StageStanding] = (), now: datetime | None = None
) -> ExperimentStanding:
    """A TransferExperiment."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    counts = status.get("counts") or {}
    said = condition(obj)
    reason = said.get("reason", "")
    suspended = (obj.get("spec") or {}).get("suspend") is True
    ended = said.get("status") in {"True", "False"} and is_current(obj)
    over = ended and ("completionTime" in status or reason in FINAL_REASONS)
    created = moment(metadata.get("creationTimestamp"))
    return ExperimentStanding(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        place=place,
        state="Deleting"
        if "deletionTimestamp" in metadata
        else reason or ("Suspended" if suspended else "New"),
        succeeded=(said["status"] == "True") if over else None,
        message=said.get("message", ""),
        total=counts.get("total", 0),
        done=counts.get("succeeded", 0),
        failed=counts.get("failed", 0),
        percent=100 if over and said["status"] == "True" else status.get("progressPercent"),
        eta_seconds=None if over else status.get("estimatedRemainingSeconds"),
        best=status.get("best", ""),
        age_seconds=int(((now or datetime.now(UTC)) - created).total_seconds()) if created else None,
        stages=tuple(stages),
    )


def stage_standings(table: Object, uid: str) -> list[StageStanding]:
    """The stages that an experiment (its UID) owns, of a server's Table with their metadata."""
    names = [column["name"] for column in table["columnDefinitions"]]
    found = []
    for row in table.get("rows") or ():
        if any(owner.get("uid") == uid for owner in _owners(row.get("object") or {})):
            cells = dict(zip(names, row["cells"], strict=False))
            found.append(_stage(cells))
    return found


def stage_state(state: str | None, reason: str | None) -> State:
    """A stage's state in the common words."""
    if state == "Active" and reason == "Queued":
        return State.QUEUED
    if state == "Succeeded" and reason == "Cached":
        return State.CACHED
    if state in {"Pending", "Waiting", None} and reason == "ParentFailed":
        return State.BLOCKED
    return _STATES.get(state or "", State.PENDING)


def condition(obj: Mapping[str, Any], kind: str = "Succeeded") -> dict[str, str]:
    """A condition; empty where there is none of this type."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((dict(one) for one in conditions if one.get("type") == kind), {})


def is_current(obj: Mapping[str, Any]) -> bool:
    """Whether an experiment's status is of the spec that it has now."""
    return bool((obj.get("status") or {}).get("observedGeneration") == obj["metadata"].get("generation"))


def failed_reports(experiment: Object) -> list[StageStanding]:
    """Its report, as a stage, where that was given up; else nothing."""
    report = (experiment.get("status") or {}).get("report") or {}
    if report.get("state") != "Failed":
        return []
    return [StageStanding(name="report", kind="report", title="report", state=State.FAILED)]


def after_the_failures(experiment: Object, stages: Iterable[Object]) -> datetime:
    """The retryFailedAt that tries again what has failed of these stages and its report: a second after the last of its own.

    By the operator's clock, which wrote those times: this machine's may be behind, and stages that fail are often told
    of within the second.
    """
    ended = [
        time
        for stage in stages
        if any(one.get("uid") == experiment["metadata"]["uid"] for one in _owners(stage))
        and (stage.get("status") or {}).get("state") == "Failed"
        and (time := moment(stage["status"].get("completedAt"))) is not None
    ]
    completed = moment((experiment.get("status") or {}).get("completionTime"))
    if completed is not None and failed_reports(experiment):
        ended.append(completed)
    wanted = max(ended) + timedelta(seconds=1) if ended else datetime.now(UTC)
    before = moment((experiment.get("spec") or {}).get("retryFailedAt"))
    return max(wanted, before) if before else wanted


def moment(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text) if text else None


def _owners(obj: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return (obj.get("metadata") or {}).get("ownerReferences") or ()


def _stage(cells: Mapping[str, Any]) -> StageStanding:
    reason = cells.get("Reason") or ""
    state = stage_state(cells.get("State"), reason)
    running = state is State.RUNNING
    return StageStanding(
        name=cells["Name"],
        kind=cells.get("Kind") or "",
        title=cells.get("Title") or cells["Name"],
        state=state,
        percent=100 if state.done else _whole(cells.get("Percent")) if running else None,
        eta_seconds=_whole(cells.get("ETA")) if running else None,
        score=cells.get("Score") or "",
        reason="" if state.done else reason,
    )


def _whole(cell: Any) -> int | None:
    return cell if isinstance(cell, int) else None
