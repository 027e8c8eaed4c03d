"""What a stage becomes when its attempt has ended: done, tried again, or failed; and who pays."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from xstilts_operator.reconcile.attempts import Outcome, Verdict
from xstilts_operator.reconcile.headline import headline
from xstilts_operator.settings import AttemptSettings
from xstilts_operator.tolerant import rounded
from xstilts_operator.views import Failure, StageState, StageView, Usage
from xstilts_operator.views.stage import USAGE_LIMIT, view_scores

# Progress is told in whole percent: an attempt that has worked this long is taken to have moved its checkpoint.
STEADY_SECONDS: Final = 600
OTHERS: Final = "others"  # the payers of a stage that are told apart no more
STORE: Final = "store"  # the payer of what was in the store: whoever ran it, by its manifest


def ended(
    stage: StageView, outcome: Outcome, *, worked: int, charge: int, settings: AttemptSettings, now: datetime
) -> StageView:
    """The stage after its attempt.

    Args:
        stage: Active.
        outcome: of its attempt.
        worked: for how many seconds its pods have worked.
        charge: the attempt's GPU-seconds.
        settings: how often a stage is tried.
        now: the time.
    """
    stage = paid(stage, charge)
    if outcome.verdict is Verdict.SUCCEEDED and outcome.result is not None:
        return stage.to(
            StageState.SUCCEEDED,
            now,
            scores=view_scores(outcome.result.scores),
            score=headline(stage.stage, outcome.result.scores),
            outputs_digest=outcome.result.outputs_digest,
            completed=rounded(now),
        )
    told = stage.progress.percent
    failure = Failure(
        attempt=stage.number,
        reason=outcome.reason,
        message=outcome.message,
        exit_code=outcome.exit_code,
        log=outcome.log,
        percent=told if told is not None else _before(stage),
        parent=outcome.parent,
    )
    if outcome.verdict is Verdict.INVALID:
        return _failed(stage, failure, outcome.reason, now)
    if outcome.verdict in {Verdict.INTERRUPTED, Verdict.EVICTED}:
        blamed = outcome.verdict is Verdict.INTERRUPTED
        stalled = 0 if _moved(stage, worked) else stage.stalled + blamed
        return _interrupted(stage, failure, stalled, settings, now)
    return _counted(stage, failure, settings, now)


def paid(stage: StageView, charge: int) -> StageView:
    """The stage with GPU-seconds charged to the payer of its attempt."""
    payer = stage.attempt
    return stage if payer is None else bill(stage, Usage(payer.experiment, payer.experiment_uid, charge))


def bill(stage: StageView, charge: Usage) -> StageView:
    """The stage with a charge more: to a payer that has paid before, or to a new one."""
    if charge.gpu_seconds <= 0:
        return stage
    uid = charge.experiment_uid
    before = sum(one.gpu_seconds for one in stage.usage if one.experiment_uid == uid)
    others = [one for one in stage.usage if one.experiment_uid != uid]
    if len(others) >= USAGE_LIMIT:
        last = others[USAGE_LIMIT - 2 :]
        merged = Usage(OTHERS, OTHERS, sum(one.gpu_seconds for one in last))
        others = [*others[: USAGE_LIMIT - 2], merged]
    return replace(stage, usage=(*others, replace(charge, gpu_seconds=before + charge.gpu_seconds)))


def backoff(failures: int, settings: AttemptSettings) -> timedelta:
    """How long a stage waits after so many failures, or interruptions without progress."""
    doubled = settings.backoff_seconds * 2 ** min(failures - 1, 16)
    return timedelta(seconds=min(doubled, settings.backoff_cap_seconds))


def _counted(stage: StageView, failure: Failure, settings: AttemptSettings, now: datetime) -> StageView:
    failures = stage.failures + 1
    if failures >= settings.max_failures:
        return _failed(stage, failure, failure.reason, now, failures=failures)
    return stage.to(
        StageState.WAITING,
        now,
        reason="BackingOff",
        message=f"attempt {failure.attempt} failed ({failures} of {settings.max_failures}): {failure.message}"[
            :1024
        ],
        retry_after=rounded(now + backoff(failures, settings)),
        failures=failures,
        last_failure=failure,
    )


def _interrupted(
    stage: StageView, failure: Failure, stalled: int, settings: AttemptSettings, now: datetime
) -> StageView:
    resumes = stage.resumes + 1
    if resumes > settings.max_resumes or stalled > settings.stalled_resumes:
        reason = "TooManyResumes" if resumes > settings.max_resumes else "NoProgress"
        return _failed(stage, failure, reason, now, resumes=resumes, stalled=stalled)
    # a node that refuses pods, as after a restart of its kubelet, would use up all resumes within seconds
    wait = backoff(stalled, settings) if stalled > stage.stalled else None
    return stage.to(
        StageState.WAITING,
        now,
        reason="Resuming",
        message=f"attempt {failure.attempt} was interrupted: {failure.message}"[:1024],
        retry_after=rounded(now + wait) if wait is not None else None,
        resumes=resumes,
        stalled=stalled,
        last_failure=failure,
    )


def _failed(stage: StageView, failure: Failure, reason: str, now: datetime, **counts: int) -> StageView:
    return stage.to(
        StageState.FAILED,
        now,
        reason=reason,
        message=failure.message,
        completed=rounded(now),
        last_failure=failure,
        **counts,
    )


def _moved(stage: StageView, worked: int) -> bool:
    """Whether the attempt has got further than the one before it that was interrupted."""
    told = stage.progress.percent
    further = told is not None and told > (_before(stage) or 0)
    return further or worked >= STEADY_SECONDS


def _before(stage: StageView) -> int | None:
    """How far the attempts before had got that ended without an output, as far as that was told."""
    return stage.last_failure.percent if stage.last_failure else None
