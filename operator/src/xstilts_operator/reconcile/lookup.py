"""Asking the store which stages of a plan it holds: each stage once, before anything of the plan runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from xstilts.stage import Kind
from xstilts_operator.actions import Action
from xstilts_operator.answers import Found, LookupAnswer, read_answer
from xstilts_operator.jobs import Asked, lookup_job
from xstilts_operator.names import companion_name
from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.attempts import POD_GRACE_SECONDS
from xstilts_operator.reconcile.companions import (
    again_in,
    deletion,
    hindrance,
    made,
    replaced,
)
from xstilts_operator.reconcile.ending import STORE, bill
from xstilts_operator.reconcile.headline import headline
from xstilts_operator.scenes import Companion, ExperimentScene
from xstilts_operator.settings import Settings, StoreSettings
from xstilts_operator.tolerant import rounded
from xstilts_operator.views import StageState, StageView, Usage
from xstilts_operator.views.stage import view_scores


@dataclass(frozen=True)
class Lookup:
    """Where the question stands.

    Attributes:
        answered: whether it is known what the store holds.
        found: what it holds, by key; said until the stages have it in their status.
        actions: what is to be done about the Job.
        message: why there is no answer yet.
        again_in: in how many seconds to look again.
    """

    answered: bool
    found: Mapping[str, Found] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    message: str = ""
    again_in: float | None = None


def look_up(
    scene: ExperimentScene,
    plan_name: str,
    plan: PlanDocument,
    stages: Mapping[str, StageView],
    store: StoreSettings,
    settings: Settings,
    now: datetime,
) -> Lookup:
    """Ask, wait, or read the answers; nothing is asked where every stage in question has succeeded by now.

    A plan that has grown is asked for what is new in it. `stages` are those that are there, by key.
    """
    experiment, before = scene.experiment, scene.looked_up
    if experiment.looked_up == plan_name:
        return Lookup(answered=True)
    questions = plan.questions(before)
    if all(key in stages and stages[key].succeeded for key in questions):
        return Lookup(answered=True)
    question = f"asks the store for {len(questions)} stages"
    companion = scene.companions.get(companion_name(plan_name, "lookup"))
    if companion is None:
        asked = Asked(experiment.looked_up, before) if before else None
        body = lookup_job(experiment.reference, plan_name, plan, store, settings, experiment.queue, asked)
        begun, again = made(scene, body)
        return Lookup(answered=False, actions=begun, message=question, again_in=again)
    hindered, again = hindrance(experiment, companion, now)
    if hindered or not companion.job.over:
        message = f"{question}: {hindered}" if hindered else question
        return Lookup(
            answered=False, actions=replaced(experiment, companion), message=message, again_in=again
        )
    answers = _answers(companion, plan_name)
    if answers is not None:
        return Lookup(answered=True, found=_found(answers, plan))
    return _failed(scene, companion, plan_name, question, now)


def take_in(stage: StageView, found: Found, now: datetime) -> StageView:
    """A stage that the store holds: done, without an attempt. One that runs or is done already stays as it is."""
    if stage.active or stage.succeeded:
        return stage
    done = stage.to(StageState.SUCCEEDED, now, reason="Cached", completed=rounded(now))
    return replace(
        bill(done, Usage(STORE, STORE, found.gpu_seconds or 0)),
        dropped=found.dropped,
        cached=True,
        scores=view_scores(found.scores),
        score=headline(stage.stage, found.scores),
        outputs_digest=found.outputs_digest,
    )


def _failed(
    scene: ExperimentScene, companion: Companion, plan_name: str, question: str, now: datetime
) -> Lookup:
    """Wait for pods that may still come to be known, or ask again after a while."""
    patience = POD_GRACE_SECONDS - companion.ended_for
    over = [pod for pod in companion.pods if pod.over]
    if len(over) < companion.job.pods and patience > 0:
        return Lookup(answered=False, message=question, again_in=patience)
    message = f"{question}: {_why(companion, plan_name)}"
    left = again_in(companion, scene.experiment.started, now)
    if left > 0:
        return Lookup(answered=False, message=message, again_in=left)
    return Lookup(answered=False, actions=(deletion(scene.experiment, companion),), message=message)


def _found(answers: tuple[LookupAnswer, ...], plan: PlanDocument) -> dict[str, Found]:
    """What was found, by key. An evaluation whose scores were too long to be told runs, and tells them itself."""
    found = {key: one for answer in answers for key, one in answer.by_key(plan.stages).items()}
    return {
        key: one for key, one in found.items() if plan.stages[key].kind is not Kind.EVALUATE or one.scores
    }


def _answers(companion: Companion, plan_name: str) -> tuple[LookupAnswer, ...] | None:
    """The answers of all indexes; None where one is missing."""
    by_index: dict[int, LookupAnswer] = {}
    for pod in companion.pods:
        answer = read_answer(LookupAnswer, pod.answer, plan_name) if pod.exit_code == 0 else None
        if answer is not None and answer.error is None:
            by_index[pod.index] = answer
    complete = by_index.keys() >= set(range(companion.job.pods))
    return tuple(by_index.values()) if companion.job.complete and complete else None


def _why(companion: Companion, plan_name: str) -> str:
    """Why the Job has failed, in the words of the first pod that says something."""
    for pod in companion.pods:
        answer = read_answer(LookupAnswer, pod.answer, plan_name)
        if answer is not None and answer.error is not None:
            error = answer.error
            return f"it failed, and is tried again: {error.field}: {error.message}".replace(": : ", ": ")
    return f"it failed, and is tried again: {companion.job.message or 'it gave no answer'}"
