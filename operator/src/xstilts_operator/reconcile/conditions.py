"""The summary condition of an experiment: whether it has succeeded, and the one reason why it goes no further."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.admission import Admission
from xstilts_operator.reconcile.lookup import Lookup
from xstilts_operator.reconcile.obstacles import MESSAGE_LIMIT, QUEUE_UNAVAILABLE
from xstilts_operator.reconcile.queues import QUEUED
from xstilts_operator.reconcile.report import Report
from xstilts_operator.reconcile.standing import DONE, LOST, TERMINAL, Standing
from xstilts_operator.tolerant import rounded, stamp
from xstilts_operator.views import Condition, ExperimentView, StageView, find_condition
from xstilts_operator.views.stage import SUCCEEDED


@dataclass(frozen=True)
class Verdict:
    """What the condition says: `status` is True or False once it has come to its end, until then Unknown."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Situation:
    """What the sentence is made of.

    Attributes:
        experiment: it.
        plan: its plan.
        stages: those that are there, by key.
        standing: where all of them stand, by key.
        lookup: of the plan; None where nothing may be asked.
        admission: what is begun; None where nothing may be.
        report: where it stands.
    """

    experiment: ExperimentView
    plan: PlanDocument
    stages: Mapping[str, StageView]
    standing: Mapping[str, Standing]
    report: Report
    lookup: Lookup | None = None
    admission: Admission | None = None
    numbers: Mapping[Standing, int] = field(init=False)

    def __post_init__(self) -> None:
        """Count."""
        standing = list(self.standing.values())
        object.__setattr__(self, "numbers", {one: standing.count(one) for one in Standing})

    def title(self, key: str) -> str:
        """What a stage is called."""
        return self.plan.stages[key].title

    def of(self, *standing: Standing) -> list[str]:
        """The keys of the stages that stand there, in the plan's order."""
        return [key for key, one in self.standing.items() if one in standing]


def is_over(situation: Situation) -> bool:
    """Whether nothing is left to do: every stage has come to an end, and the report is settled."""
    ended = all(one in TERMINAL for one in situation.standing.values())
    return ended and situation.report.settled


def ended(situation: Situation) -> Verdict:
    """What is said at the end."""
    total = len(situation.standing)
    done = len(situation.of(*DONE))
    failed = situation.of(Standing.FAILED)
    path = situation.report.status.get("path")
    if not failed and not situation.of(*LOST):
        if situation.report.failed:
            return Verdict("False", "PartlyFailed", situation.report.message or "the report failed")
        where = f"; the report is {path}" if path else ""
        return Verdict("True", "Completed", f"{done} of {total} stages are done{where}")
    blocked = situation.numbers[Standing.BLOCKED]
    first = f": {_told(situation, failed[0])}" if failed else ""
    message = f"{len(failed)} of {total} stages failed, {blocked} could not run{first}"
    evaluated = any(key in situation.stages and situation.stages[key].scores for key in situation.of(*DONE))
    return Verdict("False", "PartlyFailed" if evaluated else "Failed", message)


def under_way(situation: Situation) -> Verdict:
    """Why it goes no further than it does: the first that holds."""
    reasons = (_conflict, _asking, _poor, _running, _queued, _elsewhere, _waiting)
    said = next((found for reason in reasons if (found := reason(situation)) is not None), None)
    return said or Verdict("Unknown", "Running", situation.report.message or _left(situation))


def conditions(experiment: ExperimentView, said: Verdict, now: datetime) -> list[dict[str, object]]:
    """The conditions of its status; one that says what it said keeps its time."""
    found = [_condition(experiment, SUCCEEDED, said, now)]
    unavailable = said.reason == QUEUE_UNAVAILABLE
    if unavailable or find_condition(experiment.conditions, QUEUE_UNAVAILABLE) is not None:
        other = replace(
            said,
            status="True" if unavailable else "False",
            reason=said.reason if unavailable else "Available",
            message=said.message if unavailable else "",
        )
        found.append(_condition(experiment, QUEUE_UNAVAILABLE, other, now))
    return [one.to_json() for one in found]


def _condition(experiment: ExperimentView, kind: str, said: Verdict, now: datetime) -> Condition:
    before = find_condition(experiment.conditions, kind)
    same = before is not None and before.status == said.status and before.since is not None
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason,
        message=said.message[:MESSAGE_LIMIT],
        since=before.since if before is not None and same else rounded(now),
        generation=experiment.generation,
    )


def _conflict(situation: Situation) -> Verdict | None:
    for key, stage in situation.stages.items():
        if stage.key != key:
            message = f"the TransferStage {stage.name} is another's: it must be deleted"
            return Verdict("Unknown", "NameConflict", message)
        if stage.active and stage.reason == "NameConflict":
            return Verdict("Unknown", "NameConflict", f"{situation.title(key)}: {stage.message}")
    return None


def _asking(situation: Situation) -> Verdict | None:
    lookup = situation.lookup
    if lookup is None or lookup.answered:
        return None
    return Verdict("Unknown", "LookingUp", lookup.message)


def _poor(situation: Situation) -> Verdict | None:
    admission = situation.admission
    if admission is None or not admission.budget_spent:
        return None
    running = situation.numbers[Standing.RUNNING]
    message = f"spec.budget.gpuHours is spent: {admission.waiting} stages that are ready are not begun"
    return Verdict("Unknown", "BudgetSpent", f"{message}, {running} still run" if running else message)


def _running(situation: Situation) -> Verdict | None:
    """Something of its own works."""
    own = [stage for stage in _active(situation) if _payer(stage) == situation.experiment.uid]
    if not own:
        return None
    if any(not stage.reason for stage in own):
        return Verdict("Unknown", "Running", _left(situation))
    stuck = [stage for stage in own if stage.reason != QUEUED]
    if not stuck:
        return None
    said = f"{stuck[0].reason}: {stuck[0].message}".removesuffix(": ")
    return Verdict("Unknown", "WaitingForStages", f"{situation.title(stuck[0].key)}: {said}")


def _queued(situation: Situation) -> Verdict | None:
    own = [stage for stage in _active(situation) if _payer(stage) == situation.experiment.uid]
    if not own:
        return None
    return Verdict("Unknown", "Queued", f"{situation.title(own[0].key)}: {own[0].message}")


def _elsewhere(situation: Situation) -> Verdict | None:
    """What it waits for runs within another experiment's parallelism."""
    active = _active(situation)
    if not active or _can_begin(situation):
        return None
    whose = active[0].attempt.experiment if active[0].attempt else ""
    message = f"{situation.title(active[0].key)} runs for the experiment {whose}"
    return Verdict("Unknown", "WaitingForStages", message)


def _waiting(situation: Situation) -> Verdict | None:
    admission = situation.admission
    if admission is None:
        return None
    if admission.dropped:
        title = situation.title(admission.dropped[0])
        message = f"{title} runs again once no report may drop its weights any more"
        return Verdict("Unknown", "WaitingForStages", message)
    if admission.backing_off:
        stage = situation.stages[admission.backing_off[0]]
        when = f" until {stamp(stage.retry_after)}" if stage.retry_after else ""
        return Verdict(
            "Unknown", "WaitingForStages", f"{situation.title(stage.key)} waits{when}: {stage.message}"
        )
    if admission.occupied:
        message = f"{situation.title(admission.occupied[0])} waits for the end of an attempt before"
        return Verdict("Unknown", "WaitingForStages", message)
    return None


def _can_begin(situation: Situation) -> bool:
    return situation.admission is not None and situation.admission.waiting > 0


def _active(situation: Situation) -> Sequence[StageView]:
    return [situation.stages[key] for key in situation.of(Standing.RUNNING, Standing.QUEUED)]


def _payer(stage: StageView) -> str:
    return stage.attempt.experiment_uid if stage.attempt else ""


def _left(situation: Situation) -> str:
    """How many stages run and wait: no time stands in it, so that it does not change by itself."""
    said = [
        f"{number} {word}"
        for number, word in (
            (situation.numbers[Standing.RUNNING], "run"),
            (situation.numbers[Standing.QUEUED], "wait in a queue"),
            (situation.numbers[Standing.PENDING], "wait"),
            (
                situation.numbers[Standing.FAILED] + situation.numbers[Standing.BLOCKED],
                "failed or cannot run",
            ),
        )
        if number
    ]
    return f"of {len(situation.standing)} stages {_and(said)}" if said else "nothing runs"


def _and(parts: Iterable[str]) -> str:
    *most, last = list(parts)
    return f"{', '.join(most)} and {last}" if most else last


def _told(situation: Situation, key: str) -> str:
    stage = situation.stages[key]
    return f"{situation.title(key)}: {stage.message or stage.reason}"
