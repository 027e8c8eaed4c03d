"""Why a stage goes no further, where that is worth saying: what soon passes is not written down."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from xstilts_operator.reconcile.queues import QUEUED, waits_for
from xstilts_operator.scenes import StageScene
from xstilts_operator.tolerant import seconds_until
from xstilts_operator.views import JobView, PodView, StageState, StageView
from xstilts_operator.views.stage import MESSAGE_LIMIT

PASSES_SECONDS: Final = 10  # what stands in the way for less is not written down
UNPREPARED_SECONDS: Final = 120  # to attach and mount volumes takes a minute in some clouds
PARENT_FAILED: Final = "ParentFailed"
PODS_MISSING: Final = "PodsMissing"
POD_UNPREPARED: Final = "PodUnprepared"
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
    unprepared = lacks_volumes((pod for pod in scene.pods if pod.job == job.name), now)
    return (POD_UNPREPARED, unprepared[1]) if unprepared is not None and unprepared[0] == 0 else None


def lacks_volumes(pods: Iterable[PodView], now: datetime) -> tuple[float, str] | None:
    """In how many seconds what is to be said of a pod that has no volumes or no network; None where all have both."""
    since = min(((pod.unprepared, pod.name) for pod in pods if pod.unprepared is not None), default=None)
    if since is None:
        return None
    message = f"its node gives the pod {since[1]} no volumes or no network: `kubectl describe pod {since[1]}` says why"
    return seconds_until(since[0] + timedelta(seconds=UNPREPARED_SECONDS), now), message


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
