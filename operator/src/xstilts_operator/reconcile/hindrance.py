"""Why a stage goes no further, where that is worth saying: what soon passes is not written down."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from xstilts_operator.reconcile.queues import QUEUED, waits_for
from xstilts_operator.scenes import StageScene
from xstilts_operator.tolerant import seconds_until
from xstilts_operator.views import JobView, PodView, StageState, StageView
from xstilts_operator.views.stage import MESSAGE_LIMIT

PASSES_SECONDS: Final = 10  # what stands in the way for less is not written down
UNPREPARED_SECONDS: Final = 120  # to attach and mount volumes takes a minute in some clouds
LOST_SECONDS: Final = 60  # after a pod's whole grace period, which ends by its node's word
PARENT_FAILED: Final = "ParentFailed"
PODS_MISSING: Final = "PodsMissing"
POD_UNPREPARED: Final = "PodUnprepared"
NODE_LOST: Final = "NodeLost"
REFUSED: Final = "Refused"

Reason = tuple[str, str]  # reason, message


def of_idle(scene: StageScene) -> Reason | None:
    """Why a stage of which no attempt is under way will not come to one: a stage that it needs has failed.

    None where nothing new is to be said.
    """
    stage = scene.stage
    if stage.state not in {StageState.PENDING, StageState.WAITING}:
        return None
    failed = [parent for parent in scene.parents.values() if has_failed(parent)]
    if failed:
        title = failed[0].title or failed[0].name
        verb = "cannot run" if failed[0].reason == PARENT_FAILED else "failed"
        return PARENT_FAILED, f"{title} {verb}"[:MESSAGE_LIMIT]
    return ("WaitingForParents", "") if stage.reason == PARENT_FAILED else None


def has_failed(stage: StageView) -> bool:
    """Whether a stage has failed, or cannot run since one that it needs has."""
    return stage.state is StageState.FAILED or (
        stage.state in {StageState.PENDING, StageState.WAITING} and stage.reason == PARENT_FAILED
    )


def of_job(scene: StageScene, job: JobView, now: datetime) -> Reason | None:
    """Why the Job of an attempt does not run; None where it does."""
    if job.owner != scene.stage.uid:
        return "NameConflict", f"the Job {job.name} is there and is not this stage's: it must be deleted"
    if job.suspended:
        return QUEUED, waits_for(job, scene.workload)
    stuck = next((pod for pod in scene.pods if pod.job == job.name and pod.stuck), None)
    if stuck is not None:
        return stuck.reason, stuck.message[:MESSAGE_LIMIT]
    if job.missing:
        return PODS_MISSING, lacks_pods(job)
    late = overdue((pod for pod in scene.pods if pod.job == job.name), now)
    return late.reason if late is not None and late.wait == 0 else None


class Overdue(NamedTuple):
    """In how many seconds a pod's node is late with what it owes, and what is to be said then."""

    wait: float
    reason: Reason


def overdue(pods: Iterable[PodView], now: datetime) -> Overdue | None:
    """What is first to be said of pods whose nodes owe them something; None where none does."""
    owed: list[tuple[datetime, str, str]] = []
    for pod in pods:
        describe = f"`kubectl describe pod {pod.name}`"
        if pod.unprepared is not None:
            message = f"its node gives the pod {pod.name} no volumes or no network: {describe} says why"
            owed.append((pod.unprepared + timedelta(seconds=UNPREPARED_SECONDS), POD_UNPREPARED, message))
        if pod.due is not None and not pod.over:
            message = (
                f"the pod {pod.name} is to have ended, and its node does not say so: {describe} names the node; where "
                "that is off, its taint node.kubernetes.io/out-of-service or its deletion ends the pod"
            )
            owed.append((pod.due + timedelta(seconds=LOST_SECONDS), NODE_LOST, message))
    if not owed:
        return None
    at, *reason = min(owed)
    return Overdue(seconds_until(at, now), (reason[0], reason[1]))


def lacks_pods(job: JobView) -> str:
    """What is to be said of a Job whose pods are refused: by whom, its own Events say, which the operator may not read."""
    return (
        f"the Job {job.name} has {job.made} of {job.made + job.missing} pods: `kubectl describe job {job.name}` says why "
        "(a quota, an admission policy, an account that is not there)"
    )


def passes_in(since: Iterable[datetime | None], now: datetime) -> float:
    """In how many seconds what stands in the way since the last of these times is worth writing down."""
    last = max((time for time in since if time is not None), default=None)
    return seconds_until(last + timedelta(seconds=PASSES_SECONDS), now) if last is not None else 0.0


def may_run_since(job: JobView) -> datetime | None:
    """Since when a Job may have pods: made suspended for a queue, it may only once that has begun it."""
    return job.started or job.created
