"""Which failed stages are tried again: those that failed before retryFailedAt, and once what was failed before."""

from __future__ import annotations

from datetime import datetime

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
