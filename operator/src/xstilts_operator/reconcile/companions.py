"""What lookups and reports have in common: their Jobs are made, waited for, and made again when they fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from xstilts_operator.actions import Create, Delete, Object, Reference, Resource
from xstilts_operator.reconcile.hindrance import lacks_pods, may_run_since, overdue, passes_in
from xstilts_operator.reconcile.queues import is_misplaced, waits_for
from xstilts_operator.reconcile.writes import wanted_so
from xstilts_operator.scenes import Companion, ExperimentScene
from xstilts_operator.tolerant import seconds_until
from xstilts_operator.views import ExperimentView

SHORTEST_SECONDS: Final = 10
LONGEST_SECONDS: Final = 300
LETS_GO_SECONDS: Final = 1.0  # after which it is looked again whether Kueue has let go of a Job that is gone


def hindrance(experiment: ExperimentView, companion: Companion, now: datetime) -> tuple[str, float | None]:
    """Why a companion's Job gives no answer yet; "" where it just has not ended, and in how many seconds that may be another."""
    job = companion.job
    if job.owner != experiment.uid:
        return f"the Job {job.name} is there and is not this experiment's: it must be deleted", None
    if job.deleting:
        return f"the Job {job.name} is being deleted, and is made again", None
    if job.over:
        return "", None
    if job.suspended:
        return f"the Job {job.name}: {waits_for(job, companion.workload)}", None
    stuck = next((pod for pod in companion.pods if pod.stuck), None)
    if stuck is not None:
        return f"the pod {stuck.name} cannot run: {stuck.reason}: {stuck.message}", None
    late = overdue(companion.pods, now)
    waits = [(late.wait, late.reason[1])] if late is not None else []
    if job.missing:
        waits.append((passes_in([may_run_since(job)], now), lacks_pods(job)))
    wait, message = min(waits, default=(None, ""))
    return (message, None) if wait == 0 else ("", wait)


def made(scene: ExperimentScene, body: Object) -> tuple[tuple[Create, ...], float | None]:
    """Its Job is made, once Kueue has let go of the one before it; until then, in how many seconds to look again.

    Kueue knows the Workload of a Job by the Job's name alone: it would take the old one's for the new one's, until that
    is collected with its own Job.
    """
    held = body["metadata"]["name"] in scene.queued
    return ((), LETS_GO_SECONDS) if held else ((Create(Resource.JOB, body),), None)


def replaced(experiment: ExperimentView, companion: Companion) -> tuple[Delete, ...]:
    """Its Job goes where it waits in another queue than it should: it is then made anew."""
    job = companion.job
    wrong = job.owner == experiment.uid and is_misplaced(job, experiment.queue)
    return (deletion(experiment, companion),) if wrong else ()


def stopped(scene: ExperimentScene) -> tuple[Delete, ...]:
    """Those of an experiment that may not go on: what waits or runs goes, and is made again when it may."""
    return _stopped(scene.experiment, scene.companions.values())


def outgrown(scene: ExperimentScene, plan: str) -> tuple[Delete, ...]:
    """The reports over plans that have grown since: they would drop weights that are needed by now."""
    old = (one for one in scene.companions.values() if one.job.may_drop and one.job.plan != plan)
    return _stopped(scene.experiment, old)


def again_in(companion: Companion, began: datetime | None, now: datetime) -> float:
    """In how many seconds a Job that failed is made again: each time after as long as it has all taken so far.

    So the waits double, though nothing but the beginning is remembered.
    """
    ended = companion.job.ended or now
    tried = (ended - began) // timedelta(seconds=1) if began is not None else 0
    wait = min(max(tried, SHORTEST_SECONDS), LONGEST_SECONDS)
    return seconds_until(ended + timedelta(seconds=wait), now)


def _stopped(experiment: ExperimentView, companions: Iterable[Companion]) -> tuple[Delete, ...]:
    return tuple(
        replace(deletion(experiment, companion), rests_on=(wanted_so(experiment),))
        for companion in companions
        if companion.job.owner == experiment.uid and not companion.job.over and not companion.job.deleting
    )


def deletion(experiment: ExperimentView, companion: Companion) -> Delete:
    """Its Job goes, so that it can be made anew under its name."""
    job = companion.job
    return Delete(Reference(Resource.JOB, experiment.namespace, job.name, job.uid))
