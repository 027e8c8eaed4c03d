"""Jobs that wait in a queue of Kueue: for what, and whether it is the right queue."""

from __future__ import annotations

from typing import Final

from xstilts_operator.views import JobView, WorkloadView
from xstilts_operator.views.stage import MESSAGE_LIMIT

QUEUED: Final = "Queued"
_DEFAULT: Final = "default"  # the LocalQueue that Kueue itself puts a Job into which names none


def waits_for(job: JobView, workload: WorkloadView | None) -> str:
    """What a Job that is suspended waits for."""
    waits = f"waits in queue {job.queue}" if job.queue else "is suspended, and spec.queueName names no queue"
    if workload is None:
        return f"{waits}: no Workload of it is seen; is Kueue there, and on in the operator's settings?"
    return f"{waits}: {workload.message}"[:MESSAGE_LIMIT] if workload.message else waits


def is_misplaced(job: JobView, queue: str | None) -> bool:
    """Whether a Job waits in another queue than the one that its experiment names by now: it is to be made anew."""
    if not job.suspended or job.over or job.deleting:
        return False
    return job.queue != queue if queue is not None else job.queue not in {"", _DEFAULT}
