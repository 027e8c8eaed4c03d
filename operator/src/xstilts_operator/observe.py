"""From the cache to what one decision may look at, and what only somebody who has watched for a while can tell.

Objects in the cache are never changed, only replaced: so what was read out of one is kept until there is another.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from xstilts.errors import Problem, SpecError
from xstilts.spec import Experiment, read_experiment
from xstilts_operator.actions import Object, Resource
from xstilts_operator.cache import Cache, Name, name_of
from xstilts_operator.memory import Memory
from xstilts_operator.names import API_VERSION, companion_name, job_name
from xstilts_operator.plans import PlanDocument, PlanError
from xstilts_operator.scenes import Companion, ExperimentScene, StageScene
from xstilts_operator.tolerant import mapping, text
from xstilts_operator.views import (
    ExperimentView,
    JobView,
    PodView,
    StageState,
    StageView,
    Work,
    WorkloadView,
    view_experiment,
    view_job,
    view_pod,
    view_stage,
    view_workload,
)

Value = TypeVar("Value")


class Observatory:
    """Sees scenes in a cache, and remembers what it has seen.

    What it remembers sharpens decisions and is needed by none: after a restart, a Job that has vanished meanwhile is made
    again, a pod that was disrupted and is gone counts by what is left of it, and what it has worked is not paid for.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        # what is read out of objects goes with them: it is large
        self._stages: dict[Name, tuple[Object, StageView]] = {}
        self._experiments: dict[Name, tuple[Object, ExperimentView]] = {}
        self._specs: dict[Name, tuple[Object, Experiment | None, tuple[Problem, ...]]] = {}
        self._jobs: Memory[str] = Memory()  # stage UID and attempt -> UID of the Job
        self._disrupted: Memory[bool] = Memory()  # stage UID and attempt
        self._works: Memory[Mapping[str, Work]] = Memory()  # stage UID and attempt -> by the pod's UID
        self._ended: Memory[datetime] = Memory()  # UID of a Job -> when it was first seen to have ended

    def experiment(self, namespace: str, name: str, now: datetime) -> ExperimentScene | None:
        """An experiment and what stands around it; None where there is none."""
        obj = self._cache.get(Resource.EXPERIMENT, namespace, name)
        if obj is None:
            self._experiments.pop((namespace, name), None)
            self._specs.pop((namespace, name), None)
            return None
        experiment = self._experiment(obj)
        plan, problem = self._plan(namespace, experiment.plan)
        looked_up, _ = self._plan(namespace, experiment.looked_up)
        names = plan.by_name if plan else ()
        stages = {
            one: self._stage(found)
            for one in names
            if (found := self._cache.get(Resource.STAGE, namespace, one)) is not None
        }
        return ExperimentScene(
            experiment=experiment,
            plan=plan,
            plan_problem=problem,
            looked_up=looked_up,
            stages={one: stage for one, stage in stages.items() if not stage.deleting},
            taken=frozenset(stages),
            occupied=frozenset(one for one, stage in stages.items() if self._is_occupied(stage)),
            began=dict(self._began(stages.values())),
            companions=self._companions(experiment, now),
            kueue=Resource.WORKLOAD not in self._cache.unserved,
            queued=_Queued(self._cache, namespace),
            sharing=_Sharing(self, namespace, experiment.uid),
        )

    def stage(self, namespace: str, name: str, now: datetime) -> StageScene | None:
        """A stage and what stands around it; None where there is none."""
        obj = self._cache.get(Resource.STAGE, namespace, name)
        if obj is None:
            self._stages.pop((namespace, name), None)
            return None
        stage = self._stage(obj)
        current = job_name(name, stage.number)
        attempt = (stage.uid, stage.number)
        pods = tuple(map(view_pod, self._cache.pods_of_stage(namespace, name)))
        named_obj = self._cache.get(Resource.JOB, namespace, current) if stage.active else None
        named = view_job(named_obj) if named_obj is not None else None
        if named is not None and named.owner == stage.uid:
            self._jobs.put(attempt, named.uid)
        if any(pod.disrupted for pod in pods if pod.job == current):
            self._disrupted.put(attempt, value=True)
        parents = (self._cache.get(Resource.STAGE, namespace, parent) for parent in stage.parents)
        return StageScene(
            stage=stage,
            needed_by=tuple(self._needing(stage)),
            parents={
                view.name: view for view in (self._stage(parent) for parent in parents if parent is not None)
            },
            jobs=tuple(map(view_job, self._cache.jobs_of_stage(namespace, name))),
            pods=pods,
            named=named,
            workload=self._workload(named),
            has_service=self._cache.get(Resource.SERVICE, namespace, current) is not None,
            job_seen=self._jobs.get(attempt) is not None,
            disruption_seen=self._disrupted.get(attempt) is not None,
            ended_for=self._ended_for(named, now),
            gone=self._gone(stage, [pod for pod in pods if pod.job == current], now),
        )

    def others(self, namespace: str, name: str, uid: str) -> dict[str, PlanDocument | None]:
        """The plans of the experiments that need a stage and are not this one, by UID; None where one cannot be read."""
        found = map(self._experiment, self._cache.experiments_needing(namespace, name))
        return {
            one.uid: self._plan(namespace, one.plan)[0]
            for one in found
            if one.uid != uid and not one.deleting
        }

    def dropping(self, namespace: str, name: str) -> bool:
        """Whether a report of an experiment that needs a stage may drop it; what it was told to drop is not looked at."""
        owners = (mapping(one, "metadata") for one in self._cache.experiments_needing(namespace, name))
        jobs = (view_job(job) for one in owners for job in self._cache.jobs_of_experiment(text(one["uid"])))
        return any(job.may_drop for job in jobs)

    def view(self, namespace: str, name: str) -> StageView | None:
        """A stage; None where it is not there, or is being deleted."""
        obj = self._cache.get(Resource.STAGE, namespace, name)
        stage = self._stage(obj) if obj is not None else None
        return None if stage is None or stage.deleting else stage

    def _stage(self, obj: Object) -> StageView:
        return _kept(self._stages, obj, view_stage)

    def _experiment(self, obj: Object) -> ExperimentView:
        return _kept(self._experiments, obj, lambda one: view_experiment(one, *self._spec(one)))

    def _spec(self, obj: Object) -> tuple[Experiment | None, tuple[Problem, ...]]:
        """The checked spec, or its problems: read anew where it is another, as the status changes far more often."""
        metadata, key = mapping(obj, "metadata"), name_of(obj)
        known = self._specs.get(key)
        if known is not None and known[0] == obj.get("spec"):
            return known[1:]
        manifest = {
            "apiVersion": API_VERSION,
            "kind": Resource.EXPERIMENT.value,
            "metadata": {"name": metadata.get("name"), "namespace": metadata.get("namespace")},
            "spec": obj.get("spec"),
        }
        try:
            read: tuple[Experiment | None, tuple[Problem, ...]] = (read_experiment(manifest), ())
        except SpecError as error:
            read = (None, tuple(error.problems))
        self._specs[key] = (obj.get("spec") or {}, *read)
        return read

    def _plan(self, namespace: str, name: str) -> tuple[PlanDocument | None, str]:
        """A plan, or why it cannot be read."""
        if not name:
            return None, ""
        try:
            return self._cache.plan_of(namespace, name), ""
        except PlanError as error:
            return None, str(error)

    def _needing(self, stage: StageView) -> Iterable[ExperimentView]:
        """The experiments whose plans name the stage, and those that own it or pay for it already: grids only grow."""
        found: dict[str, ExperimentView] = {}
        for obj in self._cache.experiments_needing(stage.namespace, stage.name):
            experiment = self._experiment(obj)
            found[experiment.uid] = experiment
        known = [(owner.name, owner.uid) for owner in stage.owners]
        if stage.active and stage.attempt is not None:
            known.append((stage.attempt.experiment, stage.attempt.experiment_uid))
        for name, uid in known:
            named = self._cache.get(Resource.EXPERIMENT, stage.namespace, name)
            if named is not None and text(mapping(named, "metadata").get("uid")) == uid:
                found.setdefault(uid, self._experiment(named))
        return found.values()

    def _is_occupied(self, stage: StageView) -> bool:
        """Whether anything still runs of a stage of which no attempt is under way."""
        if stage.number == 0 or stage.state not in {StageState.PENDING, StageState.WAITING}:
            return False
        jobs = self._cache.jobs_of_stage(stage.namespace, stage.name)
        pods = self._cache.pods_of_stage(stage.namespace, stage.name)
        return any(not view_job(job).over for job in jobs) or any(not view_pod(pod).over for pod in pods)

    def _began(self, stages: Iterable[StageView]) -> Iterable[tuple[str, datetime]]:
        """Of each stage whose attempt has pods that have begun to work, since when the first of them has."""
        for stage in stages:
            name = job_name(stage.name, stage.number)
            pods = self._cache.pods_of_job(stage.namespace, name) if stage.active else ()
            times = [pod.began for pod in map(view_pod, pods) if pod.began is not None]
            if times:
                yield stage.name, min(times)

    def _companions(self, experiment: ExperimentView, now: datetime) -> dict[str, Companion]:
        """Its own Jobs; a lookup whose answers are in the stages is looked at no more."""
        lookup = companion_name(experiment.plan, "lookup") if experiment.plan else ""
        jobs = [view_job(job) for job in self._cache.jobs_of_experiment(experiment.uid)]
        if experiment.looked_up == experiment.plan:
            jobs = [job for job in jobs if job.name != lookup]
        elif all(job.name != lookup for job in jobs):
            foreign = self._cache.get(Resource.JOB, experiment.namespace, lookup)
            jobs += [view_job(foreign)] if foreign is not None else []
        return {job.name: self._companion(experiment.namespace, job, now) for job in jobs}

    def _companion(self, namespace: str, job: JobView, now: datetime) -> Companion:
        pods = tuple(map(view_pod, self._cache.pods_of_job(namespace, job.name)))
        return Companion(job, pods, self._ended_for(job, now) or 0.0, self._workload(job))

    def _workload(self, job: JobView | None) -> WorkloadView | None:
        """Kueue's Workload of a Job that is there."""
        found = self._cache.workload_of_job(job.uid) if job is not None else None
        return view_workload(found) if found is not None else None

    def _gone(self, stage: StageView, pods: Sequence[PodView], now: datetime) -> tuple[Work, ...]:
        """When those pods of the attempt that is under way worked that have gone since."""
        if not stage.active:
            return ()
        attempt, there = (stage.uid, stage.number), {pod.uid for pod in pods}
        seen = self._works.get(attempt) or {}
        gone = {uid: replace(work, finished=work.end(now)) for uid, work in seen.items() if uid not in there}
        self._works.put(attempt, gone | {pod.uid: pod.work for pod in pods if pod.work is not None})
        return tuple(gone.values())

    def _ended_for(self, job: JobView | None, now: datetime) -> float | None:
        """For how many seconds, by our own clock, a Job has been known to have ended; None where it has not."""
        if job is None or not job.over:
            return None
        since = self._ended.get(job.uid) or self._ended.put(job.uid, now)
        return max(0.0, (now - since) / timedelta(seconds=1))


@dataclass(frozen=True)
class _Queued(Container[str]):
    """The names of a namespace's Jobs that Kueue has a Workload of: looked up when they are asked for."""

    cache: Cache
    namespace: str

    def __contains__(self, job: object) -> bool:
        return self.cache.is_queued(self.namespace, str(job))


@dataclass(frozen=True)
class _Sharing:
    """What others have of an experiment's stages: see `xstilts_operator.scenes.Sharing`."""

    observatory: Observatory
    namespace: str
    uid: str

    def others(self, name: str) -> Mapping[str, PlanDocument | None]:
        return self.observatory.others(self.namespace, name, self.uid)

    def stage(self, name: str) -> StageView | None:
        return self.observatory.view(self.namespace, name)

    def dropping(self, name: str) -> bool:
        return self.observatory.dropping(self.namespace, name)


def _kept(kept: dict[Name, tuple[Object, Value]], obj: Object, read: Callable[[Object], Value]) -> Value:
    """What was read out of this very object before, or is now."""
    name = name_of(obj)
    known = kept.get(name)
    if known is None or known[0] is not obj:
        known = kept[name] = (obj, read(obj))
    return known[1]
