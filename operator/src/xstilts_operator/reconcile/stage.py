"""What to do about one stage: whose it is, the Job of its attempt, how that has ended, whether it may go on."""

from __future__ import annotations

from datetime import datetime

from xstilts_operator.actions import Action, Decision, Delete, Emit, Reference, Resource, Seen
from xstilts_operator.names import job_name
from xstilts_operator.reconcile.attempts import (
    DELETED,
    POD_GRACE_SECONDS,
    Outcome,
    Verdict,
    evicted,
    gpu_seconds,
    judge,
)
from xstilts_operator.reconcile.ending import ended, paid
from xstilts_operator.reconcile.hindrance import (
    Reason,
    may_run_since,
    of_idle,
    of_job,
    overdue,
    passes_in,
)
from xstilts_operator.reconcile.owners import set_owners, unknown
from xstilts_operator.reconcile.queues import is_misplaced
from xstilts_operator.reconcile.starting import service, start
from xstilts_operator.reconcile.suspension import lapses_in, wants, why_stopped
from xstilts_operator.reconcile.writes import say, wanted_so, write
from xstilts_operator.scenes import StageScene
from xstilts_operator.settings import Settings
from xstilts_operator.views import ExperimentView, JobView, PodView, StageState, StageView


def reconcile_stage(scene: StageScene, settings: Settings, now: datetime) -> Decision:
    """Decide about a stage. At most one conditional write a decision: the next one sees what it has made.

    Args:
        scene: the stage and what stands around it.
        settings: the administrator's.
        now: the time, aware.
    """
    stage = scene.stage
    if stage.deleting:
        return Decision()
    owners = set_owners(scene)
    if owners is not None:
        return Decision((owners,))
    if stage.active:
        return _active(scene, settings, now)
    return _idle(scene)


def _idle(scene: StageScene) -> Decision:
    actions = list(_leftovers(scene))
    said = of_idle(scene)
    if said is not None:
        actions += say(scene.stage, *said)
    return Decision(tuple(actions))


def _active(scene: StageScene, settings: Settings, now: datetime) -> Decision:
    job = _own(scene)
    if job is not None and job.over:
        return _over(scene, job, settings, now)
    if (why := _why_stopped(scene, job, now)) is not None:
        return _stop(scene, why, now)
    if (outcome := _cut_short(scene, job)) is not None:
        return _end(scene, outcome, settings, now)
    leftovers = tuple(_leftovers(scene))
    if scene.named is None:
        return start(scene, settings, now, leftovers)
    return _going_on(scene, scene.named, now, leftovers)


def _why_stopped(scene: StageScene, job: JobView | None, now: datetime) -> Reason | None:
    """Why the attempt is not to go on; None where it is."""
    if not any(wants(one, now) for one in scene.needed_by):
        return why_stopped(scene.needed_by, now)
    payer = _payer(scene)
    if job is not None and payer is not None and is_misplaced(job, payer.queue):
        return "QueueChanged", f"spec.queueName of {payer.name} is another now"
    return None


def _cut_short(scene: StageScene, job: JobView | None) -> Outcome | None:
    """How an attempt has ended of which the Job has not."""
    if job is not None:
        return evicted(job, scene.workload)
    made = scene.job_seen or scene.stage.told == scene.stage.number
    return DELETED if scene.named is None and made else None


def _over(scene: StageScene, job: JobView, settings: Settings, now: datetime) -> Decision:
    known_for = scene.ended_for or 0.0
    outcome = judge(
        scene.stage.key, job, _pods(scene), disruption_seen=scene.disruption_seen, ended_for=known_for
    )
    if outcome is None:
        left = POD_GRACE_SECONDS - known_for
        return Decision(tuple(_leftovers(scene)), again_in=left if left > 0 else POD_GRACE_SECONDS)
    return _end(scene, outcome, settings, now)


def _going_on(scene: StageScene, job: JobView, now: datetime, leftovers: tuple[Action, ...]) -> Decision:
    stage, lapses = scene.stage, lapses_in(scene.needed_by, now)
    actions = (*leftovers, *service(scene, job))
    said = of_job(scene, job, now)
    if said is None:
        late = overdue(_pods(scene), now)
        waits = (lapses, late.wait if late is not None else None)
        return Decision((*actions, *say(stage)), again_in=min(filter(None, waits), default=None))
    since = (stage.attempt.started if stage.attempt else None, may_run_since(job))
    patience = 0.0 if stage.reason == said[0] else passes_in(since, now)
    if patience > 0:
        return Decision(actions, again_in=min(patience, lapses or patience))
    return Decision((*actions, *say(stage, *said)), again_in=lapses)


def _stop(scene: StageScene, why: Reason, now: datetime) -> Decision:
    """End the attempt in the status first: a Job that is then found without one is deleted, whoever finds it."""
    reason, message = why
    charge = _charge(scene, now)
    stopped = paid(scene.stage, charge).to(StageState.PENDING, now, reason=reason, message=message)
    event = Emit(scene.stage.reference, "Normal", reason, f"attempt {scene.stage.number} stopped: {message}")
    job = _own(scene)
    return Decision((write(stopped, *_who_wants(scene)), event, *_deletions(scene, [job] if job else [])))


def _who_wants(scene: StageScene) -> tuple[Seen, ...]:
    """What a stop rests on: none of those that are known has come to want the stage since, and there is no other."""
    return (*map(wanted_so, scene.needed_by), *unknown(scene))


def _end(scene: StageScene, outcome: Outcome, settings: Settings, now: datetime) -> Decision:
    works = [*scene.gone, *(pod.work for pod in _pods(scene) if pod.work is not None)]
    after = ended(
        scene.stage,
        outcome,
        worked=max((work.seconds(now) for work in works), default=0),
        charge=_charge(scene, now),
        settings=settings.attempts,
        now=now,
    )
    lost = Reference(Resource.JOB, scene.stage.namespace, job_name(scene.stage.name, scene.stage.number))
    rests_on = (Seen(lost, ""),) if outcome is DELETED else ()
    return Decision((write(after, *rests_on), *_events(after, outcome)))


def _events(stage: StageView, outcome: Outcome) -> tuple[Emit, ...]:
    """What people are told of an attempt's end; success stands in the status, and needs no further write."""
    if stage.state is StageState.SUCCEEDED:
        return ()
    attempt, title = f"attempt {stage.number}", stage.title or stage.name
    if stage.state is StageState.FAILED:
        told = f"{title} failed with {attempt}: {stage.message}"[:1024]
        events = [Emit(stage.reference, "Warning", "Failed", told)]
        if stage.attempt is not None:
            payer = Reference(
                Resource.EXPERIMENT, stage.namespace, stage.attempt.experiment, stage.attempt.experiment_uid
            )
            events.append(Emit(payer, "Warning", "StageFailed", told))
        return tuple(events)
    message = f"{attempt}: {outcome.message}"[:1024]
    if outcome.verdict in {Verdict.INTERRUPTED, Verdict.EVICTED}:
        return (Emit(stage.reference, "Normal", "Resuming", message),)
    return (Emit(stage.reference, "Warning", "Retrying", message),)


def _charge(scene: StageScene, now: datetime) -> int:
    attempt = scene.stage.attempt
    return gpu_seconds(attempt, _own(scene), _pods(scene), now, scene.gone) if attempt else 0


def _payer(scene: StageScene) -> ExperimentView | None:
    """The experiment whose attempt it is, where it is there and its spec can be read."""
    uid = scene.stage.attempt.experiment_uid if scene.stage.attempt else ""
    return next((one for one in scene.needed_by if one.uid == uid and one.experiment is not None), None)


def _own(scene: StageScene) -> JobView | None:
    """The current attempt's Job, if it is this stage's."""
    job = scene.named
    return job if job is not None and job.owner == scene.stage.uid else None


def _pods(scene: StageScene) -> list[PodView]:
    """The pods of the current attempt's Job."""
    name = job_name(scene.stage.name, scene.stage.number)
    return [pod for pod in scene.pods if pod.job == name]


def _leftovers(scene: StageScene) -> list[Action]:
    """Deletes what runs of attempts that are over, or that nobody has ended properly."""
    stage = scene.stage
    current = job_name(stage.name, stage.number) if stage.active else ""
    jobs = [job for job in scene.jobs if job.owner == stage.uid and job.name != current and not job.over]
    names = {job.name for job in scene.jobs}
    orphans = [pod for pod in scene.pods if not pod.over and pod.job not in names | {current}]
    return [*_deletions(scene, jobs), *_orphans(scene, orphans)]


def _deletions(scene: StageScene, jobs: list[JobView]) -> list[Action]:
    return [
        Delete(Reference(Resource.JOB, scene.stage.namespace, job.name, job.uid))
        for job in jobs
        if not job.over and not job.deleting
    ]


def _orphans(scene: StageScene, pods: list[PodView]) -> list[Action]:
    return [
        Delete(Reference(Resource.POD, scene.stage.namespace, pod.name, pod.uid), "Background")
        for pod in pods
        if not pod.deleting
    ]
