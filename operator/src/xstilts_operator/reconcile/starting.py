"""Making the Job of an attempt that has been admitted, once nothing of the attempts before it runs any more, and its Service."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from xstilts.spec import Resources
from xstilts.stage import Kind
from xstilts_operator.actions import Action, Create, CreateJob, Decision, Resource
from xstilts_operator.jobs import Attempt, stage_job, stage_service
from xstilts_operator.reconcile.hindrance import PASSES_SECONDS, REFUSED, passes_in
from xstilts_operator.reconcile.writes import say
from xstilts_operator.scenes import StageScene
from xstilts_operator.settings import Settings
from xstilts_operator.views import AttemptView, JobView, StageView
from xstilts_operator.views.stage import MESSAGE_LIMIT


def start(
    scene: StageScene, settings: Settings, now: datetime, leftovers: tuple[Action, ...] = ()
) -> Decision:
    """Make the Job of an Active stage.

    `leftovers` are deletions of what still runs of earlier attempts.
    """
    stage = scene.stage
    running = [job.name for job in scene.jobs if not job.over] + [
        pod.name for pod in scene.pods if not pod.over
    ]
    if running:
        said = ("OldPodsTerminating", f"waits for the end of {running[0]}, of an attempt before")
        patience = passes_in([stage.attempt.started if stage.attempt else None], now)
        if patience > 0 and stage.reason != said[0]:
            return Decision(leftovers, again_in=patience)
        return Decision((*leftovers, *say(stage, *said)))
    store = settings.store(stage.store, stage.namespace)
    attempt = _attempt(stage)
    if store is None:
        return Decision(
            say(stage, "StoreUnknown", f"the store {stage.store!r} is not in the settings any more")
        )
    if attempt is None:
        return Decision(
            say(stage, "InvalidStage", "its spec must be one that the operator has made, was not")
        )
    told = say(stage, REFUSED, scene.refused[:MESSAGE_LIMIT]) if scene.refused else ()
    if told:  # and then it is asked for again
        return Decision((*leftovers, *told), again_in=PASSES_SECONDS)
    create = CreateJob(stage.reference, attempt.number, stage_job(attempt, store, settings))
    return Decision((*leftovers, create))


def service(scene: StageScene, job: JobView) -> tuple[Create, ...]:
    """Make the Service by which the pods of several nodes find the first of them, as their Job's, with which it goes.

    The pods wait for it: a name that cannot be resolved yet is tried again.
    """
    admitted = scene.stage.attempt
    if admitted is None or admitted.nodes == 1 or scene.has_service:
        return ()
    attempt = _attempt(scene.stage)
    if attempt is None or job.owner != scene.stage.uid or job.deleting:
        return ()
    return (Create(Resource.SERVICE, stage_service(attempt, job.uid)),)


def _attempt(stage: StageView) -> Attempt | None:
    """What the Job is made of; None where the stage's spec is not the operator's."""
    attempt = stage.attempt
    if attempt is None or stage.kind not in set(Kind) or not stage.stage:
        return None
    return Attempt(
        stage=stage.reference,
        kind=Kind(stage.kind),
        text=stage.stage,
        number=attempt.number,
        payer=attempt.experiment,
        placement=_resources(attempt),
        queue=attempt.queue,
    )


def _resources(attempt: AttemptView) -> Resources:
    """What the attempt was admitted with; the least where somebody has put another thing there."""
    try:
        return Resources.model_validate(attempt.placement)
    except ValidationError:
        return Resources()
