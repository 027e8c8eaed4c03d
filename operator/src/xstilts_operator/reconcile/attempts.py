"""How an attempt has ended: from its Job and its pods' exit codes and conditions to one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import ValidationError

from xstilts.errors import EXIT_INTERRUPTED, EXIT_INVALID
from xstilts.stage import Result
from xstilts_operator.views import AttemptView, JobView, PodView, Work, WorkloadView
from xstilts_operator.views.stage import LOG_LIMIT, MESSAGE_LIMIT

# A Job's end and that of its pods come by different watches: for so long a pod that is not there may still come.
POD_GRACE_SECONDS: Final = 30.0
PARENT_DAMAGED: Final = "ParentDamaged"


class Verdict(StrEnum):
    """What an attempt's end means for its stage."""

    SUCCEEDED = "succeeded"
    INVALID = "invalid"  # the spec or the data is wrong: another attempt would end alike
    FAILED = "failed"  # counted
    INTERRUPTED = "interrupted"  # by others: continued, not counted
    EVICTED = "evicted"  # by Kueue, for which no stage is to blame: continued, not counted


@dataclass(frozen=True)
class Outcome:
    """How an attempt has ended.

    `log` is the end of what it said, where that is no result; `parent` the key of the stage whose output it missed.
    """

    verdict: Verdict
    reason: str
    message: str = ""
    exit_code: int | None = None
    log: str = ""
    result: Result | None = None
    parent: str | None = None


# As a pod that somebody deletes: nothing says that the stage is to blame.
DELETED: Final = Outcome(Verdict.INTERRUPTED, "JobDeleted", "somebody deleted its Job while it ran")


def judge(
    key: str, job: JobView, pods: Sequence[PodView], *, disruption_seen: bool, ended_for: float
) -> Outcome | None:
    """The outcome of a Job that has ended; None where a pod's end, or a pod that would tell, may still come to be known.

    Args:
        key: of the stage.
        job: complete or failed.
        pods: of this Job, as far as they are there.
        disruption_seen: whether one of its pods has been seen to be disrupted, be it gone by now.
        ended_for: seconds for which the Job has been known to have ended.
    """
    over = sorted((pod for pod in pods if pod.over), key=lambda pod: pod.index)
    patient = ended_for < POD_GRACE_SECONDS or len(over) < len(pods)
    if job.complete:
        return _completed(key, over, patient=patient)
    invalid = [pod for pod in over if pod.exit_code == EXIT_INVALID]
    if invalid:
        return _told(Verdict.INVALID, "InvalidStage", key, invalid[0])
    if len(over) < job.pods and patient:
        return None
    return _failed(key, over, disruption_seen=disruption_seen)


def evicted(job: JobView, workload: WorkloadView | None) -> Outcome | None:
    """The outcome of a Job that Kueue has stopped, where another is to queue for it; else None."""
    eviction = workload.eviction if workload is not None and job.suspended else None
    if eviction is None:
        return None
    return Outcome(Verdict.EVICTED, eviction.reason, eviction.message[:MESSAGE_LIMIT])


def result_in(key: str, answer: str) -> Result | None:
    """The result of this stage in a termination message; None where there is none, or another's."""
    try:
        result = Result.model_validate_json(answer)
    except ValidationError:
        return None
    return result if result.key == key else None


def gpu_seconds(
    attempt: AttemptView,
    job: JobView | None,
    pods: Iterable[PodView],
    now: datetime,
    gone: Iterable[Work] = (),
) -> int:
    """What an attempt is charged: the GPUs of each pod for as long as it worked, queues and pulls left out.

    `gone` is the work of pods that are not there any more. One of which nothing is known is taken to have worked as
    long as the longest of the others; where nothing is known of any, as long as the Job.
    """
    if attempt.gpus == 0:
        return 0
    works = [*(pod.work for pod in pods), *gone]
    if not works and job is not None and job.had_pods and job.started is not None:
        works = [Work(job.started, job.ended)]
    if not works:
        return 0
    worked = [work.seconds(now) if work is not None else 0 for work in works]
    planned = job.pods if job is not None else attempt.nodes
    unknown = max(0, planned - len(worked))
    return (attempt.gpus // planned) * (sum(worked) + unknown * max(worked))


def _completed(key: str, over: Sequence[PodView], *, patient: bool) -> Outcome | None:
    first = next((pod for pod in over if pod.index == 0), None)
    if first is None:
        # as while no operator ran: the stage has done its work, and its next attempt finds that in the store
        lost = "its first pod was gone before its result was read"
        return None if patient else Outcome(Verdict.INTERRUPTED, "ResultLost", lost)
    result = result_in(key, first.answer)
    if result is None or result.outputs_digest is None or result.error is not None:
        message = "it ended well, but said no result of this stage"
        return Outcome(Verdict.FAILED, "ResultLost", message, first.exit_code, _tail(first.answer))
    return Outcome(Verdict.SUCCEEDED, "Completed", exit_code=0, result=result)


def _failed(key: str, over: Sequence[PodView], *, disruption_seen: bool) -> Outcome:
    """A failed Job's outcome by the pods that ended by themselves; those that the Job controller has stopped since follow."""
    bad = [pod for pod in over if pod.exit_code != 0]
    own = [pod for pod in bad if not pod.deleting or pod.disrupted]
    disrupted = next((pod for pod in own if pod.disrupted), None)
    if disrupted is not None:
        return _told(Verdict.INTERRUPTED, "Disrupted", key, disrupted)
    if disruption_seen:
        return Outcome(Verdict.INTERRUPTED, "Disrupted", "a pod of it was disrupted, and is gone")
    saved = (pod for pod in own if pod.exit_code == EXIT_INTERRUPTED and not pod.exceeded)
    interrupted = next(saved, None)
    if interrupted is not None:
        return _told(Verdict.INTERRUPTED, "Interrupted", key, interrupted)
    if own:
        told = [_told(Verdict.FAILED, pod.reason or "Failed", key, pod) for pod in own]
        return next((one for one in told if one.parent), told[0])
    if bad:
        return _told(Verdict.INTERRUPTED, "Deleted", key, bad[0])
    return Outcome(Verdict.INTERRUPTED, "PodLost", "its pod is gone: somebody has deleted it, or its node")


def _told(verdict: Verdict, reason: str, key: str, pod: PodView) -> Outcome:
    """An outcome in the words of a pod: of its result where it told one, else of the cluster."""
    result = result_in(key, pod.answer)
    if result is not None and result.error is not None:
        error = result.error
        message = f"{error.field}: {error.message}" if error.field else error.message
        reason = PARENT_DAMAGED if error.parent else reason
        return Outcome(verdict, reason, message[:MESSAGE_LIMIT], pod.exit_code, parent=error.parent)
    ending = "its pod never ran" if pod.exit_code is None else f"exit code {pod.exit_code}"
    said = ": ".join(part for part in (pod.reason, pod.message) if part)
    message = f"{ending} ({said})" if said else ending
    return Outcome(verdict, reason, message[:MESSAGE_LIMIT], pod.exit_code, _tail(pod.answer))


def _tail(answer: str) -> str:
    """The end of a text, within LOG_LIMIT bytes."""
    return answer.encode()[-LOG_LIMIT:].decode(errors="ignore")
