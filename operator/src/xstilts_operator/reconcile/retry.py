"""What is run again: stages that failed before retryFailedAt, or before this experiment came, and outputs that are gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from xstilts_operator.plans import PlanDocument
from xstilts_operator.views import ExperimentView, StageState, StageView


def retries(experiment: ExperimentView, stage: StageView) -> bool:
    """Whether an experiment has a failed stage tried again.

    One that others have failed with before this experiment was accepted is tried once for it.
    """
    if stage.state is not StageState.FAILED:
        return False
    failed = stage.completed
    if failed is None:
        return True  # nothing says that it has not been
    if experiment.retry_failed is not None and failed < experiment.retry_failed:
        return True
    payer = stage.attempt.experiment_uid if stage.attempt else ""
    return payer != experiment.uid and experiment.started is not None and failed <= experiment.started


def again(stage: StageView, now: datetime) -> StageView:
    """A failed stage as if it had not been tried; its attempts and what they cost are kept."""
    return stage.to(StageState.PENDING, now, failures=0, resumes=0, stalled=0, completed=None)


def missed(plan: PlanDocument, stages: Mapping[str, StageView]) -> frozenset[str]:
    """The keys of stages whose output is gone: one that was begun after their success has not found it.

    `stages` is by key. An attempt that has missed its parent counts as a failure: so nothing is run again without end.
    """
    return frozenset(
        parent
        for key, stage in stages.items()
        if (parent := _missed(stage)) in plan.stages[key].parents.values()
        and parent in stages
        and _was_there(stages[parent], stage)
    )


def anew(stage: StageView, now: datetime) -> StageView:
    """A stage whose output is gone, as if it had not run; its attempts and what they cost are kept."""
    reason, message = "OutputLost", "its output is not in the store any more, or was damaged: it runs again"
    if stage.dropped:
        reason, message = "WeightsDropped", "its weights were dropped (spec.store.keep) and are needed again"
    lost = replace(stage, dropped=False, cached=False, scores={}, score="", outputs_digest=None)
    return replace(again(lost, now), reason=reason, message=message)


def _missed(stage: StageView) -> str:
    """The parent that a stage which waits for its next attempt has missed in its last one."""
    waits = stage.state in {StageState.PENDING, StageState.WAITING}
    failure = stage.last_failure
    return failure.parent or "" if waits and failure and failure.attempt == stage.number else ""


def _was_there(parent: StageView, child: StageView) -> bool:
    """Whether a stage had succeeded when the attempt of another began."""
    if child.attempt is None or not parent.succeeded:
        return False
    return parent.completed is None or parent.completed <= child.attempt.started
