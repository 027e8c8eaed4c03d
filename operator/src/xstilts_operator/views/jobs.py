"""Jobs, their pods and Kueue's Workloads as decisions see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from xstilts.stage import Kind
from xstilts_operator.actions import Object
from xstilts_operator.names import ATTEMPT_LABEL, KIND_LABEL, PLAN_LABEL, QUEUE_LABEL
from xstilts_operator.tolerant import count, integer, mapping, mappings, moment, text, texts, token
from xstilts_operator.views.common import Condition, find_condition, is_true, view_conditions

_CONTAINERS: Final = frozenset(
    {"stage", "lookup", "report"}
)  # those that do the work; others may be put beside them
_INDEX: Final = "batch.kubernetes.io/job-completion-index"
_JOB_NAME: Final = "batch.kubernetes.io/job-name"
EVICTED: Final = "Evicted"
# The reasons of pods that were ended or refused by their node and not by what ran in them; and "OutOf<resource>".
_NODE_REASONS: Final = frozenset(
    {
        EVICTED,
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "Preempting",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    }
)
# The reasons of containers that will not begin by themselves: somebody must mend something.
_STUCK_REASONS: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
# The reasons for which Kueue ends a Job that runs, and that a new one is to queue for. With any other, such as pods that
# were not ready in time, it begins the same Job again by itself, after a pause and so often as it is told, or never.
_PLACE_LOST: Final = frozenset({"ClusterQueueStopped", "LocalQueueStopped", "NodeFailures", "Preempted"})


@dataclass(frozen=True)
class JobView:
    """A Job. `complete` and `failed`: it has ended, and none of its pods runs any more.

    Attributes:
        attempt: which attempt of its stage it is; 0 where no label says.
        owner: the UID of its controller.
        created: when it was made.
        started: when its pods could first run (Kueue sets it anew at each admission).
        ended: when it ended, by the API server's clock.
        pods: how many pods run beside each other.
        made: how many pods its controller has told of, there or ended.
        missing: how many more should be there by now. They are made within a second, unless something refuses them.
        message: why it failed.
        queue: Kueue's LocalQueue; "" where it has none.
        kind: its stage's, or lookup, or report.
        plan: the plan that a lookup or report is about.
    """

    name: str
    uid: str
    attempt: int
    owner: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    complete: bool
    failed: bool
    reason: str
    message: str
    pods: int
    suspended: bool
    deleting: bool
    made: int = 0
    missing: int = 0
    queue: str = ""
    kind: str = ""
    plan: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.complete or self.failed

    @property
    def had_pods(self) -> bool:
        """Whether any pod of it can have worked since it began last; of one that is suspended none has."""
        return (self.over or self.made > 0) and not self.suspended

    @property
    def may_drop(self) -> bool:
        """Whether it is a report that has not ended: it may drop weights at any moment."""
        return self.kind == Kind.REPORT and not self.over


@dataclass(frozen=True)
class Work:
    """When a pod worked: from `began` on, until `finished` or still.

    `due`: when it must have ended. A node that is lost never says when it did.
    """

    began: datetime
    finished: datetime | None = None
    due: datetime | None = None

    def end(self, now: datetime) -> datetime:
        """Until when, as far as is known."""
        return self.finished or min(now, self.due or now)

    def seconds(self, now: datetime) -> int:
        """For how long."""
        return max(0, (self.end(now) - self.began) // timedelta(seconds=1))


@dataclass(frozen=True)
class PodView:
    """A pod.

    Attributes:
        deleting: its deletion has been asked for: by a person, or by the Job controller once its Job has failed.
        job: the name of its Job.
        attempt: of its stage; 0 where no label says.
        index: its number within the Job.
        over: it runs no more and never will again.
        exit_code: of the container that did the work; None before its end, or where it never ran.
        answer: the termination message.
        disrupted: the cluster has ended it or will: eviction, preemption, a lost node.
        reason: why it ended, such as OOMKilled; while it cannot begin to work, why, such as ImagePullBackOff.
        began, finished: when it worked.
        stuck: whether it cannot begin to work.
        unprepared: since when its node has it, without volumes or network yet; None where that is past.
        due: when its grace period ends, where it is being deleted.
    """

    name: str
    uid: str
    deleting: bool
    job: str
    attempt: int
    index: int
    over: bool
    exit_code: int | None
    answer: str
    disrupted: bool
    reason: str
    message: str
    began: datetime | None
    finished: datetime | None
    stuck: bool
    unprepared: datetime | None = None
    due: datetime | None = None

    @property
    def work(self) -> Work | None:
        """When it worked; None where it never has."""
        return Work(self.began, self.finished, self.due) if self.began is not None else None

    @property
    def exceeded(self) -> bool:
        """Whether it was ended since its files outgrew what it was given, such as its scratch volume."""
        return self.reason == EVICTED and not self.disrupted


@dataclass(frozen=True)
class WorkloadView:
    """Kueue's Workload of a Job.

    Attributes:
        admitted: whether the Job may run.
        message: why it may not.
        eviction: why it may run no more though it was admitted: its place is another's, or gone. None where it has none,
            and where Kueue goes on with this very Job later or somebody must mend something.
    """

    admitted: bool
    message: str
    eviction: Condition | None = None


def view_job(job: Object) -> JobView:
    """Read a Job."""
    metadata, spec, status = mapping(job, "metadata"), mapping(job, "spec"), mapping(job, "status")
    conditions = view_conditions(status.get("conditions"))
    failed = is_true(conditions, "Failed")
    complete = is_true(conditions, "Complete") and not failed
    end = find_condition(conditions, "Failed" if failed else "Complete") if failed or complete else None
    labels = mapping(metadata, "labels")
    # what has ended is no longer active and not yet counted until the Job controller has released its pod
    uncounted = mapping(status, "uncountedTerminatedPods")
    made = sum(count(status.get(state)) for state in ("active", "succeeded", "failed", "terminating"))
    made += sum(len(texts(uncounted.get(how))) for how in ("succeeded", "failed"))
    return JobView(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        attempt=_attempt(metadata),
        owner=next(
            (
                text(owner.get("uid"))
                for owner in mappings(metadata.get("ownerReferences"))
                if owner.get("controller") is True
            ),
            "",
        ),
        created=moment(metadata.get("creationTimestamp")),
        started=moment(status.get("startTime")),
        ended=(moment(status.get("completionTime")) or end.since) if end else None,
        complete=complete,
        failed=failed,
        reason=token(end.reason) if end else "",
        message=end.message if end else "",
        pods=max(1, count(spec.get("completions")) or count(spec.get("parallelism"))),
        suspended=spec.get("suspend") is True,
        deleting="deletionTimestamp" in metadata,
        made=made,
        missing=max(0, max(1, count(spec.get("parallelism"))) - made),
        queue=text(labels.get(QUEUE_LABEL), 253),
        kind=text(labels.get(KIND_LABEL)),
        plan=text(labels.get(PLAN_LABEL)),
    )


def view_pod(pod: Object) -> PodView:
    """Read a pod."""
    metadata, status = mapping(pod, "metadata"), mapping(pod, "status")
    conditions = view_conditions(status.get("conditions"))
    over = status.get("phase") in {"Succeeded", "Failed"}
    state = _state(status)
    ended, waiting = mapping(state, "terminated"), mapping(state, "waiting")
    reason, message = text(status.get("reason")), text(status.get("message"))
    # what a node evicts has the condition, and what it refuses to begin with never ran: the rest has exceeded its own limits
    exceeded = reason == EVICTED and bool(ended)
    by_node = (reason in _NODE_REASONS and not exceeded) or reason.startswith("OutOf")
    disrupted = is_true(conditions, "DisruptionTarget") or by_node
    stuck = not over and text(waiting.get("reason")) in _STUCK_REASONS
    scheduled = find_condition(conditions, "PodScheduled")
    prepared = find_condition(conditions, "PodReadyToStartContainers")  # which images are pulled after
    began = moment(ended.get("startedAt")) or moment(mapping(state, "running").get("startedAt"))
    if stuck:
        reason, message = text(waiting.get("reason")), text(waiting.get("message"))
    elif (
        not over
        and scheduled is not None
        and scheduled.reason == "Unschedulable"
        and scheduled.status == "False"
    ):
        stuck, reason, message = True, scheduled.reason, scheduled.message
    return PodView(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        deleting="deletionTimestamp" in metadata,
        job=text(mapping(metadata, "labels").get(_JOB_NAME)),
        attempt=_attempt(metadata),
        index=_number(mapping(metadata, "annotations").get(_INDEX)),
        over=over,
        exit_code=integer(ended.get("exitCode")) if over else None,
        answer=text(ended.get("message"), 8192) if over else "",
        disrupted=disrupted,
        reason=token(reason) or token(ended.get("reason")),
        message=message,
        began=began,
        finished=moment(ended.get("finishedAt")),
        stuck=stuck,
        unprepared=prepared.since
        if prepared and prepared.status == "False" and not (over or began)
        else None,
        due=moment(metadata.get("deletionTimestamp")),
    )


def view_workload(workload: Object) -> WorkloadView:
    """Read a Workload."""
    conditions = view_conditions(mapping(workload, "status").get("conditions"))
    waiting = [
        condition
        for kind in ("QuotaReserved", "Admitted", "Evicted")
        if (condition := find_condition(conditions, kind)) is not None
        and condition.status == ("True" if kind == "Evicted" else "False")
    ]
    message = next((condition.message for condition in waiting if condition.message), "")
    evicted = find_condition(conditions, "Evicted")
    lost = evicted is not None and evicted.status == "True" and evicted.reason in _PLACE_LOST
    ran = find_condition(conditions, "Admitted") is not None  # Kueue sets it with the first admission
    return WorkloadView(
        admitted=is_true(conditions, "Admitted"), message=message, eviction=evicted if lost and ran else None
    )


def _attempt(metadata: Any) -> int:
    return _number(mapping(metadata, "labels").get(ATTEMPT_LABEL))


def _number(value: Any) -> int:
    """A number that is written as a label or annotation."""
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
        else 0
    )


def _state(status: Any) -> Any:
    """The state of the container that does the work; empty where it is not known."""
    containers = mappings(mapping(status).get("containerStatuses"))
    return next((mapping(one, "state") for one in containers if one.get("name") in _CONTAINERS), {})
