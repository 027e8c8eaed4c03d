"""The report over the evaluations that succeeded: written once all of them have come to an end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from xstilts.errors import EXIT_INVALID
from xstilts.stage import Kind
from xstilts_operator.actions import Action
from xstilts_operator.answers import ReportAnswer, read_answer
from xstilts_operator.jobs import report_job, report_name
from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.attempts import POD_GRACE_SECONDS
from xstilts_operator.reconcile.companions import (
    again_in,
    deletion,
    hindrance,
    made,
    replaced,
)
from xstilts_operator.reconcile.dropping import droppable
from xstilts_operator.reconcile.standing import TERMINAL, Standing
from xstilts_operator.scenes import Companion, ExperimentScene
from xstilts_operator.settings import Settings, StoreSettings
from xstilts_operator.tolerant import seconds_until, stamp, text
from xstilts_operator.views import ExperimentView, StageView

GIVEN_UP_SECONDS: Final = 1800  # a report that has failed for so long is no reason not to end
# So long it is not told that the report is under way: most are written by then, and the end tells all in one write.
TOLD_AFTER_SECONDS: Final = 15
WRITTEN: Final = "Written"
FAILED: Final = "Failed"


@dataclass(frozen=True)
class Report:
    """Where the report stands.

    Attributes:
        settled: whether nothing of it is left to do.
        status: what the experiment's status says of it; empty before its time.
        actions: what is to be done about the Job.
        drops: the keys of the stages whose weights it drops: to be written before its Job is made.
        message: why it is not written (yet).
        again_in: in how many seconds to look again.
        untold_for: for how many seconds what is told of it can wait for its end; None where it cannot.
    """

    settled: bool
    status: Mapping[str, Any] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    drops: tuple[str, ...] = ()
    message: str = ""
    again_in: float | None = None
    untold_for: float | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be written."""
        return self.status.get("state") == FAILED


def report(
    scene: ExperimentScene,
    plan_name: str,
    plan: PlanDocument,
    stages: Mapping[str, StageView],
    standing: Mapping[str, Standing],
    store: StoreSettings,
    settings: Settings,
    now: datetime,
) -> Report:
    """Wait for the evaluations, have the report written, or read where it is.

    `stages` are those that are there, by key; `standing` is where all of the plan's stand.
    """
    experiment = scene.experiment
    evaluations = [planned.key for planned in plan.of_kind(Kind.EVALUATE)]
    if any(standing[key] not in TERMINAL for key in evaluations):
        return Report(settled=False)
    done = {key: stages[key] for key in evaluations if key in stages and stages[key].succeeded}
    if not done:
        return Report(settled=True)
    if _is_settled(experiment):
        carried = _carried(experiment.report)
        return Report(settled=True, status=carried, message=carried.get("message", ""))
    outputs = {key: stage.outputs_digest or "" for key, stage in done.items()}
    due = _due(experiment, done.values())
    companion = scene.companions.get(report_name(plan_name, outputs))
    if companion is None:
        drops = droppable(plan, stages, scene.sharing, experiment.uid)
        body = report_job(
            experiment.reference,
            plan_name,
            outputs,
            stamp(experiment.started or now),
            store,
            settings,
            experiment.queue,
            drops,
        )
        begun, again = made(scene, body)
        running = _running("the report is written", *begun, again=again, untold=_untold(due, now))
        return replace(running, drops=drops if begun else ())
    hindered, again = hindrance(experiment, companion, now)
    if hindered or not companion.job.over:
        message = f"the report is not written yet: {hindered}" if hindered else "the report is written"
        untold = None if hindered else _untold(due, now)
        return _running(message, *replaced(experiment, companion), again=again, untold=untold)
    return _over(scene, companion, plan_name, due, now)


def not_now(report: Report) -> Report:
    """The report of an experiment that may not go on: what is written stays, what is not waits."""
    return report if report.settled else Report(settled=False)


def _is_settled(experiment: ExperimentView) -> bool:
    """Whether the report is written, or was given up and its experiment has not been told since to try again what failed."""
    state, retry = experiment.report.get("state"), experiment.retry_failed
    if state != FAILED or retry is None:
        return state in {WRITTEN, FAILED}
    return experiment.completed is not None and retry <= experiment.completed


def _due(experiment: ExperimentView, done: Iterable[StageView]) -> datetime | None:
    """Since when the report can be written: its evaluations are done, the experiment goes on, and what failed is tried again.

    Evaluations that another experiment needed before may have been done for days.
    """
    times = (
        *(stage.completed for stage in done),
        experiment.active_since or experiment.started,
        experiment.retry_failed,
    )
    return max((time for time in times if time is not None), default=None)


def _over(
    scene: ExperimentScene, companion: Companion, plan_name: str, due: datetime | None, now: datetime
) -> Report:
    """Read a Job that has ended; `due` is since when the report can be written, before which a Job is of an earlier try."""
    job = companion.job
    pod = next((pod for pod in companion.pods if pod.over), None)
    patience = POD_GRACE_SECONDS - companion.ended_for
    if pod is None and patience > 0:
        return _running("the report is written", again=patience, untold=_untold(due, now))
    answer = read_answer(ReportAnswer, pod.answer, plan_name) if pod else None
    if job.complete and answer is not None and answer.path is not None:
        return Report(settled=True, status={"state": WRITTEN, "path": answer.path})
    error = answer.error if answer else None
    said = f"{error.field}: {error.message}" if error and error.field else error.message if error else ""
    message = f"the report failed: {said or job.message or 'it gave no answer'}"
    tried = (job.ended or now) - (due or now)
    wrong = pod is not None and pod.exit_code == EXIT_INVALID and tried >= timedelta()
    if wrong or tried > timedelta(seconds=GIVEN_UP_SECONDS):
        return Report(settled=True, status={"state": FAILED, "message": message[:1024]}, message=message)
    left = again_in(companion, due, now)
    if left > 0:
        return _running(message, again=left)
    return _running(message, deletion(scene.experiment, companion))


def _running(
    message: str, *actions: Action, again: float | None = None, untold: float | None = None
) -> Report:
    return Report(
        settled=False,
        status={"state": "Running"},
        actions=actions,
        message=message,
        again_in=again,
        untold_for=untold,
    )


def _untold(due: datetime | None, now: datetime) -> float | None:
    """For how long a report that was due then needs no telling. A clock that has been set back makes none wait."""
    if due is None or now < due:
        return None
    return seconds_until(due + timedelta(seconds=TOLD_AFTER_SECONDS), now) or None


def _carried(report: Mapping[str, Any]) -> dict[str, str]:
    """What the status says, as far as it is well formed."""
    return {name: said for name in ("state", "path", "message") if (said := text(report.get(name)))}
