"""What must hold at every moment of every run, whatever happens: held against each change of the API server."""

from __future__ import annotations

from collections import Counter
from typing import Any

from operator_sim.store import Event, Store
from xstilts_operator.actions import Resource
from xstilts_operator.names import ATTEMPT_LABEL, STAGE_LABEL
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import mapping, mappings


class Invariants:
    """Listens to a store; what has been broken is in `broken`, for people.

    `excess` is by how many attempts an experiment has had more under way than its parallelism allows: with one process
    at a time, whose writes are not done later, it must be 0.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._made: Counter[tuple[str, str]] = Counter()  # a Job's name and its owner
        self._stages: dict[str, Any] = {}  # as they were, by UID
        self.broken: list[str] = []
        self.excess = 0
        store.listeners.append(self._see)

    def _see(self, event: Event) -> None:
        if event.resource is Resource.JOB and event.type == "ADDED":
            self._job_made(event.obj)
        elif event.resource is Resource.POD and event.type == "ADDED":
            self._pod_made(event.obj)
        elif event.resource is Resource.STAGE and event.type != "DELETED":
            self._stage_written(event.obj)

    def _job_made(self, job: Any) -> None:
        """Of one stage object each Job once; lookups and reports that failed are made anew."""
        if STAGE_LABEL not in _labels(job):
            return
        made = (job["metadata"]["name"], job["metadata"]["ownerReferences"][0]["uid"])
        self._made[made] += 1
        if self._made[made] > 1:
            self.broken.append(f"the Job {made[0]} was made {self._made[made]} times")

    def _pod_made(self, pod: Any) -> None:
        """Never two attempts' pods of a stage at once."""
        labels = _labels(pod)
        if STAGE_LABEL not in labels:
            return
        alive = {
            _labels(one)[ATTEMPT_LABEL]
            for one in self._store.all(Resource.POD)
            if _labels(one).get(STAGE_LABEL) == labels[STAGE_LABEL]
            and one["status"]["phase"] in {"Pending", "Running"}
        }
        if alive > {labels[ATTEMPT_LABEL]}:
            self.broken.append(f"pods of attempts {sorted(alive)} of {labels[STAGE_LABEL]} at once")

    def _stage_written(self, stage: Any) -> None:
        """Attempts only count up, a bill only grows, and what has succeeded stays so, with its scores, while its output is there."""
        uid, name = stage["metadata"]["uid"], stage["metadata"]["name"]
        before, self._stages[uid] = mapping(self._stages.get(uid), "status"), stage
        after = mapping(stage, "status")
        if _number(after) < _number(before):
            self.broken.append(f"{name}: attempt {_number(after)} follows attempt {_number(before)}")
        if gpu_seconds(after) < gpu_seconds(before):
            self.broken.append(f"{name}: its bill fell from {gpu_seconds(before)} to {gpu_seconds(after)}")
        kept = ("state", "scores", "outputsDigest")
        there = before.get("state") == "Succeeded" and not before.get("weightsDropped")
        if there and any(before.get(part) != after.get(part) for part in kept):
            self.broken.append(f"{name}: had succeeded, and is written again as {after.get('state')}")
        if after.get("state") == "Active" != before.get("state"):
            self._admitted(mapping(after, "attempt").get("experimentUID"))

    def _admitted(self, payer: Any) -> None:
        under_way = sum(
            mapping(one, "status").get("state") == "Active"
            and mapping(one, "status", "attempt").get("experimentUID") == payer
            for one in self._store.all(Resource.STAGE)
        )
        for one in self._store.all(Resource.EXPERIMENT):
            if one["metadata"]["uid"] == payer:
                allowed = one["spec"].get("parallelism") or self._settings.parallelism
                self.excess = max(self.excess, under_way - allowed)


def gpu_seconds(status: Any) -> int:
    """What all payers of a stage have paid."""
    return sum(one["gpuSeconds"] for one in mappings(status.get("usage")))


def _number(status: Any) -> int:
    return int(mapping(status, "attempt").get("number") or 0)


def _labels(obj: Any) -> Any:
    return mapping(obj, "metadata", "labels")
