"""What a run has come to, and how it differs from another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from operator_sim.invariants import Invariants, gpu_seconds
from operator_sim.people import People
from operator_sim.scenarios import Scenario
from operator_sim.store import Store
from xstilts_operator.actions import Resource
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL
from xstilts_operator.tolerant import mapping


@dataclass
class Outcome:
    """What a run has come to: all but `writes` and `seen` is the same in all runs of a scenario.

    Attributes:
        rested: whether nothing was written any more, in time.
        broken: what held not at every moment.
        stages: what of each stage counts.
        jobs: how often each name of a Job was made; empty where that is a matter of time.
        marks: the names of all Jobs made before each step of people; as `jobs`.
        experiments: what of each experiment counts.
        kept: the names of all ConfigMaps, and of Services whose Job is gone.
        left: Jobs and pods that still run.
        cached: what all experiments count as cached, together: who of two pays is a matter of time.
        writes: how many writes the operator has begun.
        seen: how often each fault has happened.
    """

    rested: bool
    broken: list[str]
    stages: dict[str, Any]
    jobs: dict[str, int]
    marks: list[list[str]]
    experiments: dict[str, Any]
    kept: list[str]
    left: list[str]
    cached: int | None
    writes: int = 0
    seen: dict[str, int] = field(default_factory=dict)

    def differences(self, other: Outcome) -> Iterator[str]:
        """What is not as in another run, for people."""
        if not self.rested:
            yield "it does not come to rest"
        yield from self.broken
        if self.cached != other.cached:
            yield f"{self.cached} counted as cached where without faults it is {other.cached}"
        for part in ("stages", "jobs", "experiments"):
            mine, theirs = getattr(self, part), getattr(other, part)
            for name in sorted({*mine, *theirs}):
                if mine.get(name) != theirs.get(name):
                    yield f"{part} {name}: {mine.get(name)} where without faults it is {theirs.get(name)}"
        for step, (mine, theirs) in enumerate(zip(self.marks, other.marks, strict=False)):
            if mine != theirs:
                yield f"Jobs before step {step} of people: {sorted({*mine} ^ {*theirs})} only with or without faults"
        for part in ("kept", "left"):
            if getattr(self, part) != getattr(other, part):
                yield f"{part}: {getattr(self, part)} where without faults it is {getattr(other, part)}"


def outcome(
    scenario: Scenario, store: Store, people: People, invariants: Invariants, *, rested: bool, alone: bool
) -> Outcome:
    """What a run has come to.

    Args:
        scenario: says what is the same in all its runs.
        store: as it is at the end.
        people: with their marks.
        invariants: with what was broken.
        rested: whether everything came to rest.
        alone: whether one process at a time wrote, and nothing of one that was gone.
    """
    experiments = store.all(Resource.EXPERIMENT)
    names = {one["metadata"]["uid"]: one["metadata"]["name"] for one in experiments}
    jobs = {name: made for (resource, _, name), made in store.made.items() if resource is Resource.JOB}
    broken = [*invariants.broken, *_gaps(store)]
    if alone and invariants.excess > 0:
        broken.append(f"{invariants.excess} attempts more than its parallelism allows were under way")
    return Outcome(
        rested=rested,
        broken=broken,
        stages={one["metadata"]["name"]: _stage(one, names, scenario) for one in store.all(Resource.STAGE)},
        jobs=jobs if scenario.exact else {},
        marks=people.marks if scenario.exact else [],
        experiments={one["metadata"]["name"]: _experiment(one) for one in experiments},
        cached=sum(_counts(one).get("cached", 0) for one in experiments) if scenario.exact else None,
        kept=sorted(
            one["metadata"]["name"]
            for one in (
                *store.all(Resource.CONFIG_MAP),
                *(one for one in store.all(Resource.SERVICE) if _is_orphan(one, store)),
            )
        ),
        left=sorted(
            obj["metadata"]["name"]
            for resource, ends in ((Resource.JOB, _job_over), (Resource.POD, _pod_over))
            for obj in store.all(resource)
            if not ends(obj)
        ),
    )


def _gaps(store: Store) -> Iterator[str]:
    """Every attempt that a stage counts has had its Job, but for one that was stopped before: never more than it counts."""
    for job in store.all(Resource.JOB):
        labels = mapping(job, "metadata", "labels")
        stage = store.find(Resource.STAGE, job["metadata"]["namespace"], labels.get(STAGE_LABEL, ""))
        number = mapping(stage, "status", "attempt").get("number") or 0
        if stage is not None and int(labels[ATTEMPT_LABEL]) > number:
            yield f"the Job {job['metadata']['name']} is of an attempt that its stage does not know"


def _is_orphan(service: Any, store: Store) -> bool:
    """Whether a Service's Job, of the same name, is gone."""
    metadata = service["metadata"]
    return store.find(Resource.JOB, metadata["namespace"], metadata["name"]) is None


def _counts(one: Any) -> dict[str, int]:
    return dict(mapping(one, "status", "counts"))


def _stage(stage: Any, names: dict[str, str], scenario: Scenario) -> Any:
    status = mapping(stage, "status")
    owners = sorted(names.get(owner["uid"], "nobody") for owner in stage["metadata"]["ownerReferences"])
    said = {name: status.get(name) for name in ("state", "scores", "weightsDropped")}
    if scenario.exact:
        counted = ("reason", "outputsDigest", "cached", "failures", "resumes")
        said |= {name: status.get(name) for name in counted}
        said["attempts"] = mapping(status, "attempt").get("number")
    if scenario.billed:
        said["gpuSeconds"] = gpu_seconds(status)
    return {**said, "owners": owners}


def _experiment(one: Any) -> Any:
    status = mapping(one, "status")
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status.get("conditions", ())}
    counts = {name: number for name, number in _counts(one).items() if name != "cached"}
    said = {name: status.get(name) for name in ("results", "best", "report")}
    return {"conditions": conditions, "counts": counts, **said}


def _job_over(job: Any) -> bool:
    return bool(mapping(job, "status").get("conditions"))


def _pod_over(pod: Any) -> bool:
    return mapping(pod, "status").get("phase") in {"Succeeded", "Failed"}
