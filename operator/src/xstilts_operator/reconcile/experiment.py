"""What to do about one experiment, in this order: plan it, make its stages, ask the store, begin what is ready, sum up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from xstilts.stage import Kind
from xstilts_operator.actions import Action, Decision, Emit, Seen
from xstilts_operator.plans import PlanDocument
from xstilts_operator.reconcile.admission import Admission, admit, is_own
from xstilts_operator.reconcile.companions import outgrown, stopped
from xstilts_operator.reconcile.conditions import Situation, Verdict, ended, is_over, under_way
from xstilts_operator.reconcile.deadline import expired, remaining
from xstilts_operator.reconcile.lookup import Lookup, look_up, take_in
from xstilts_operator.reconcile.needed import needed, needed_for
from xstilts_operator.reconcile.obstacles import Admissible, Obstacle, examined, refusal
from xstilts_operator.reconcile.planning import Planned, planned, stage_bodies
from xstilts_operator.reconcile.report import Report, not_now, report
from xstilts_operator.reconcile.results import summary
from xstilts_operator.reconcile.retry import again, anew, missed, retries
from xstilts_operator.reconcile.rollup import rollup
from xstilts_operator.reconcile.standing import standings
from xstilts_operator.reconcile.status import PlanStatus, Summary, apply_status
from xstilts_operator.reconcile.ttl import after_the_end
from xstilts_operator.reconcile.writes import write
from xstilts_operator.scenes import ExperimentScene
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import count, mapping, seconds_until, stamp
from xstilts_operator.views import ExperimentView, StageView

_WARNINGS: Final = frozenset(
    {
        "BudgetSpent",
        "DeadlineExceeded",
        "NameConflict",
        "QueueUnavailable",
        "Refused",
        "StoreNotShareable",
        "StoreUnavailable",
        "StoreUnknown",
    }
)


def reconcile_experiment(scene: ExperimentScene, settings: Settings, now: datetime) -> Decision:
    """Decide about an experiment. Every status is written at most once a decision, its own last.

    Args:
        scene: the experiment and what stands around it.
        settings: the administrator's.
        now: the time, aware.
    """
    experiment = scene.experiment
    if experiment.deleting:
        return Decision()
    if experiment.finished:
        return after_the_end(experiment, settings, now)
    return _unfinished(scene, settings, now)


def _unfinished(scene: ExperimentScene, settings: Settings, now: datetime) -> Decision:
    experiment = scene.experiment
    refused = refusal(experiment, scene.refused)
    if refused is not None:
        return _hindered(scene, refused, now)
    able = examined(experiment, settings, kueue=scene.kueue, claim=scene.claim)
    if isinstance(able, Obstacle):
        return _hindered(scene, able, now)
    if experiment.suspended and experiment.started is None:
        return _told(experiment, Summary(Verdict("Unknown", "Suspended", "spec.suspend is true")), now)
    plan = planned(scene, able.spec, settings)
    if isinstance(plan, Obstacle):
        return _hindered(scene, plan, now)
    retry_at = experiment.retry_failed
    if retry_at is not None and retry_at > now:
        # until then it says nothing: whatever failed meanwhile would be before it, again and again
        scene = replace(scene, experiment=replace(experiment, retry_failed=None))
    else:
        retry_at = None
    course = _Course(scene, able, plan, settings, now, retry_at)
    is_new = plan.create is not None or plan.name != experiment.plan
    return course.accepted() if is_new else course.decision()


def _hindered(scene: ExperimentScene, hindered: Obstacle, now: datetime) -> Decision:
    """Say what is in the way; what runs already goes on while the experiment may, and its numbers are told."""
    experiment, plan = scene.experiment, scene.plan
    known = PlanStatus(
        experiment.plan,
        len(plan.stages) if plan else count(mapping(experiment.written, "plan").get("stages")),
        experiment.planned_generation,
        experiment.looked_up,
    )
    verdict = Verdict("False" if hindered.final else "Unknown", hindered.reason, hindered.message)
    said = Summary(
        verdict,
        plan=known if experiment.plan else None,
        runs=experiment.active_since is not None and not experiment.suspended,
        numbers=_numbers(scene, plan, 1) if plan else {},
    )
    left = None if experiment.suspended else remaining(experiment, now)
    stops = stopped(scene) if experiment.suspended or left == 0 else ()
    again_in = min((wait for wait in (hindered.again_in, left or None) if wait is not None), default=None)
    return Decision((*stops, *_told(experiment, said, now).actions), again_in)


def _numbers(scene: ExperimentScene, plan: PlanDocument, parallelism: int) -> dict[str, object]:
    stages = {key: scene.stages[one.name] for key, one in plan.stages.items() if one.name in scene.stages}
    uid = scene.experiment.uid
    standing = standings(plan, stages, needed(plan, stages), uid)
    return rollup(plan, standing, stages, uid=uid, parallelism=parallelism) | summary(plan, stages)


def _told(experiment: ExperimentView, said: Summary, now: datetime) -> Decision:
    """Write the status where it is another, with an Event where it has another reason."""
    status, verdict, before = apply_status(experiment, said, now), said.verdict, experiment.summary
    if not status or (before is not None and before.reason == verdict.reason):
        return Decision(status)
    bad = verdict.status == "False" or verdict.reason in _WARNINGS
    kind: Literal["Warning", "Normal"] = "Warning" if bad else "Normal"
    return Decision((*status, Emit(experiment.reference, kind, verdict.reason, verdict.message[:1024])))


def _says_little(experiment: ExperimentView, said: Summary) -> bool:
    """Whether nothing but numbers is new: a person reads the same reason, and no later decision rests on it."""
    before, plan = experiment.summary, said.plan.to_json() if said.plan else {}
    return (
        before is not None
        and (before.status, before.reason) == (said.verdict.status, said.verdict.reason)
        and experiment.observed_generation == experiment.generation
        and plan.items() <= experiment.written.items()
    )


@dataclass(frozen=True)
class _Course:
    """An accepted experiment on its way."""

    scene: ExperimentScene
    able: Admissible
    plan: Planned
    settings: Settings
    now: datetime
    retry_at: datetime | None = None  # when what has failed is tried again, where that is still to come

    def accepted(self) -> Decision:
        """Keep a new plan; its stages are made when the status names it, and the grid only grows from then on.

        That status says already what the next decision does, which is to ask the store: so that one needs no write.
        """
        document, stages = self.plan.document, self._there()
        lookup = self._look_up(stages) if self._may_go_on else None
        standing = standings(document, stages, needed(document, stages), self.scene.experiment.uid)
        situation = Situation(
            self.scene.experiment, document, stages, standing, Report(settled=False), lookup
        )
        told = _told(self.scene.experiment, self._summary(situation, lookup), self.now)
        return Decision((*([self.plan.create] if self.plan.create else []), *told.actions))

    def decision(self) -> Decision:
        """Make, ask, begin, report, sum up."""
        experiment, document = self.scene.experiment, self.plan.document
        before, may_go_on = self._there(), self._may_go_on
        lookup, stages, admission = None, dict(before), None
        actions: list[Action] = []
        why: Mapping[str, tuple[Seen, ...]] = {}
        if may_go_on:
            missing = [key for key, one in document.stages.items() if one.name not in self.scene.taken]
            actions += stage_bodies(experiment, document, missing)
            actions += outgrown(self.scene, self.plan.name)
            lookup = self._look_up(before)
            actions += lookup.actions
            stages = self._known(before, lookup)
            wanted = needed(document, stages, self._unasked(lookup))
            admission = self._admit(stages, wanted)
            why = needed_for(document, before, wanted, admission.admitted)
            stages |= admission.admitted
        standing = standings(document, stages, needed(document, stages), experiment.uid)
        told = report(
            self.scene, self.plan.name, document, stages, standing, self.able.store, self.settings, self.now
        )
        if not may_go_on:
            told = not_now(told)
        stages |= {key: replace(stages[key], dropped=True) for key in told.drops if not stages[key].dropped}
        actions += [write(stages[key], *why.get(key, ())) for key in before if stages[key] is not before[key]]
        if not may_go_on:
            actions += stopped(self.scene)
        actions += told.actions
        situation = Situation(experiment, document, stages, standing, told, lookup, admission)
        said = self._summary(situation, lookup)
        untold = told.untold_for if _says_little(experiment, said) else None
        status = _told(experiment, said, self.now) if untold is None else Decision()
        parts: list[Lookup | Admission | Report | None] = [lookup, admission, told]
        waits = [part.again_in for part in parts if part is not None] + [self._left(said), untold]
        again_in = min((wait for wait in waits if wait is not None), default=None)
        return Decision((*actions, *status.actions), again_in)

    def _there(self) -> dict[str, StageView]:
        """The stages of the plan that are there, by key."""
        there, planned = self.scene.stages, self.plan.document.stages
        return {key: there[one.name] for key, one in planned.items() if one.name in there}

    @property
    def _may_go_on(self) -> bool:
        return not self.scene.experiment.suspended and not expired(self.scene.experiment, self.now)

    def _look_up(self, stages: Mapping[str, StageView]) -> Lookup:
        return look_up(
            self.scene, self.plan.name, self.plan.document, stages, self.able.store, self.settings, self.now
        )

    def _known(self, stages: Mapping[str, StageView], lookup: Lookup) -> dict[str, StageView]:
        """The stages with what the store holds, and as if they had not been tried those that are tried again."""
        known = dict(stages)
        for key, found in lookup.found.items():
            if key in known:
                known[key] = take_in(known[key], found, self.now)
        for key, stage in known.items():
            if retries(self.scene.experiment, stage):
                known[key] = again(stage, self.now)
        gone = [key for key in missed(self.plan.document, known) if not self._may_go(known[key])]
        known |= {key: anew(known[key], self.now) for key in gone}
        if not lookup.answered or lookup.found:
            return known  # the store may hold what needs the weights; and what it holds is taken in once
        again_needed = needed(self.plan.document, known) & known.keys()
        dropped = [key for key in again_needed if known[key].succeeded and not self._may_go(known[key])]
        return known | {key: anew(known[key], self.now) for key in dropped}

    def _may_go(self, stage: StageView) -> bool:
        """Whether its weights may be dropped at any moment: an attempt would find them there, and who needs them would not."""
        return stage.dropped and self.scene.sharing.dropping(stage.name)

    def _unasked(self, lookup: Lookup) -> frozenset[str]:
        """The keys of the evaluations that the store has not been asked for."""
        asked = self.scene.looked_up.stages if self.scene.looked_up else {}
        evaluations = () if lookup.answered else self.plan.document.of_kind(Kind.EVALUATE)
        return frozenset(one.key for one in evaluations if one.key not in asked)

    def _admit(self, stages: Mapping[str, StageView], wanted: Collection[str]) -> Admission:
        return admit(
            self.scene.experiment,
            self.plan.document,
            stages,
            needed=wanted,
            occupied=self.scene.occupied,
            began=self.scene.began,
            parallelism=self._parallelism,
            now=self.now,
        )

    @property
    def _parallelism(self) -> int:
        return self.able.spec.spec.parallelism or self.settings.parallelism

    def _summary(self, situation: Situation, lookup: Lookup | None) -> Summary:
        experiment, document = self.scene.experiment, self.plan.document
        answered = lookup is not None and lookup.answered
        # what was found is told by the statuses of the stages, which all must be there to be written
        complete = len(situation.stages) == len(document.stages)
        looked_up = self.plan.name if answered and complete else experiment.looked_up
        over, verdict = self._verdict(situation)
        return Summary(
            verdict,
            PlanStatus(self.plan.name, len(document.stages), experiment.generation, looked_up),
            runs=not over and not experiment.suspended,
            over=over,
            numbers=rollup(
                document,
                situation.standing,
                situation.stages,
                uid=experiment.uid,
                parallelism=self._parallelism,
            )
            | summary(document, situation.stages),
            report=situation.report.status,
        )

    def _verdict(self, situation: Situation) -> tuple[bool, Verdict]:
        """Whether the experiment is at its end, its attempts too, and what is said of it."""
        experiment = self.scene.experiment
        if is_over(situation):
            said = ended(situation)
            if said.status == "True" or self.retry_at is None:
                return True, said
            when = f"what failed is tried again at {stamp(self.retry_at)} (spec.retryFailedAt)"
            return False, Verdict("Unknown", "WaitingForStages", f"{when}: {said.message}")
        if expired(experiment, self.now):
            message = f"it was active for spec.activeDeadlineSeconds, {experiment.deadline} seconds"
            over = not any(is_own(experiment, stage) for stage in situation.stages.values())
            # who waits for the end finds all of it there: its attempts are charged, its times are written
            return over, Verdict("False" if over else "Unknown", "DeadlineExceeded", message)
        if experiment.suspended:
            return False, Verdict("Unknown", "Suspended", "spec.suspend is true")
        return False, under_way(situation)

    def _left(self, said: Summary) -> float | None:
        """The seconds to the deadline, or to the end of what is kept after the end."""
        experiment = self.scene.experiment
        if said.over:
            completed = replace(experiment, completed=experiment.completed or self.now)
            return after_the_end(completed, self.settings, self.now).again_in
        if experiment.suspended:
            return None
        # past it, the ends of what runs bring us here again
        retry_in = seconds_until(self.retry_at, self.now) if self.retry_at is not None else None
        return min(filter(None, (remaining(experiment, self.now), retry_in)), default=None)
