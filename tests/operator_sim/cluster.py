"""The rest of a cluster in miniature: Job controller, kubelet and garbage collector, each a little late.

How pods end comes from `Script`, and how long they work from their names: so both are the same in every run.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from operator_sim.store import Event, Store
from xstilts.canonical import sha256_hex
from xstilts.scoring import MAIN
from xstilts.stage import EvaluateSpec, Kind, Result, Stage, StageFailure
from xstilts_operator.actions import Resource
from xstilts_operator.answers import LOOKUP_SCHEMA, PREFIX, REPORT_SCHEMA
from xstilts_operator.api import Conflict, NotFound
from xstilts_operator.names import (
    ATTEMPT_LABEL,
    DROPS_ANNOTATION,
    KIND_LABEL,
    PLAN_LABEL,
    STAGE_ANNOTATION,
    STAGE_LABEL,
)
from xstilts_operator.plans import thaw
from xstilts_operator.tolerant import mapping, stamp

INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"

GRACE_SECONDS = 30.0  # what a pod of a stage that is being deleted may take to end
ASKS_AGAIN_SECONDS = 5.0  # after which a pod that goes on is asked again whether it does


@dataclass(frozen=True)
class End:
    """How a pod ends.

    Attributes:
        code: its exit code.
        disrupted: whether a condition says that it was not its own doing.
        gone: whether it vanishes with all that it could have said, as where its node is lost.
    """

    code: int = 0
    disrupted: bool = False
    gone: bool = False


Script = Callable[[Stage, int, int], End | None]  # of a stage's attempt the pod of an index; None: it goes on


@dataclass
class Cluster:
    """Reacts to the store's events after small, seeded delays.

    Attributes:
        held: the keys that the artifact store holds.
        failing: how many lookups and reports fail yet, by their kind.
    """

    store: Store
    rng: random.Random
    clock: Callable[[], datetime]
    script: Script
    held: set[str]
    failing: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store.listeners.append(self._react)

    def _react(self, event: Event) -> None:
        obj, deleting = event.obj, "deletionTimestamp" in event.obj["metadata"]
        if event.type == "DELETED":
            self._later(self._collect, obj["metadata"]["uid"])
        elif not deleting and _is_orphan(self.store, obj):
            self._later(self._collect_orphan, (event.resource, obj))
        elif event.resource is Resource.JOB:
            if event.type == "ADDED":
                self._later(self._begin, obj)
            elif deleting:
                self._later(self._stop, obj)
        elif event.resource is Resource.POD:
            if event.type == "ADDED":
                self._later(self._run, obj)
            elif deleting:
                of_stage = STAGE_LABEL in obj["metadata"]["labels"]
                self._later(self._kill, obj, most=GRACE_SECONDS if of_stage else 2.0)
            elif _phase(obj) in {"Succeeded", "Failed"}:
                self._later(self._count, obj)

    def _later(self, work: Callable[[Any], None], about: Any, least: float = 0.05, most: float = 2.0) -> None:
        def act() -> None:
            try:
                work(about)
            except (NotFound, Conflict):  # it is gone, or made anew
                return

        asyncio.get_running_loop().call_later(self.rng.uniform(least, most), act)

    # -- the Job controller ---------------------------------------------------------------------------------------

    def _begin(self, job: Any) -> None:
        job = self._now(Resource.JOB, job)
        if "deletionTimestamp" in job["metadata"]:
            return
        self._update(
            Resource.JOB, job, startTime=stamp(self.clock()), active=job["spec"].get("completions", 1)
        )
        for index in range(job["spec"].get("completions", 1)):
            template = job["spec"]["template"]
            name = job["metadata"]["name"]
            self.store.create(
                Resource.POD,
                {
                    "metadata": {
                        "name": f"{name}-{index}",
                        "namespace": job["metadata"]["namespace"],
                        "labels": {**template["metadata"]["labels"], JOB_NAME: name},
                        "annotations": {**template["metadata"].get("annotations", {}), INDEX: str(index)},
                        "ownerReferences": [
                            {"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": True}
                        ],
                    },
                    "spec": {"containers": template["spec"]["containers"]},
                    "status": {"phase": "Pending"},
                },
            )

    def _count(self, pod: Any) -> None:
        (owner,) = pod["metadata"]["ownerReferences"]
        job = self.store.get(Resource.JOB, pod["metadata"]["namespace"], owner["name"])
        pods = self._pods(job)
        failed = any(_phase(one) == "Failed" for one in pods)
        if job["metadata"]["uid"] != owner["uid"] or mapping(job, "status").get("conditions"):
            return
        if failed:
            for one in pods:
                if _phase(one) in {"Pending", "Running"}:
                    self.store.delete(Resource.POD, *_name(one), one["metadata"]["uid"], "Background")
        if failed or all(_phase(one) == "Succeeded" for one in pods):
            self._finish(job, failed=failed)

    def _lost(self, pod: Any) -> None:
        """A pod that has vanished is one that has failed."""
        (owner,) = pod["metadata"]["ownerReferences"]
        job = self.store.get(Resource.JOB, pod["metadata"]["namespace"], owner["name"])
        over = mapping(job, "status").get("conditions") or "deletionTimestamp" in job["metadata"]
        if job["metadata"]["uid"] == owner["uid"] and not over:
            self._finish(job, failed=True)

    def _finish(self, job: Any, *, failed: bool) -> None:
        condition = {
            "type": "Failed" if failed else "Complete",
            "status": "True",
            "reason": "BackoffLimitExceeded" if failed else "CompletionsReached",
            "message": "",
            "lastTransitionTime": stamp(self.clock()),
        }
        self._update(Resource.JOB, job, conditions=[condition], active=0)

    def _stop(self, job: Any) -> None:
        """Deletion in the foreground: the pods first."""
        job = self._now(Resource.JOB, job)
        pods = self._pods(job)
        for pod in pods:
            self.store.delete(Resource.POD, *_name(pod), pod["metadata"]["uid"], "Background")
        if not pods:
            self.store.remove(Resource.JOB, *_name(job))

    # -- the kubelet ------------------------------------------------------------------------------------------------

    def _run(self, pod: Any) -> None:
        pod = self._now(Resource.POD, pod)
        if "deletionTimestamp" in pod["metadata"]:
            return
        self._update(
            Resource.POD,
            pod,
            phase="Running",
            **self._container(pod, {"running": {"startedAt": self._stamp()}}),
        )
        seconds = work_seconds(pod["metadata"]["name"])
        self._later(self._end, pod, seconds, seconds)

    def _end(self, pod: Any) -> None:
        pod = self._now(Resource.POD, pod)
        if _phase(pod) != "Running" or "deletionTimestamp" in pod["metadata"]:
            return
        end = self._way(pod)
        if end is None:
            self._later(self._end, pod, ASKS_AGAIN_SECONDS, ASKS_AGAIN_SECONDS)
            return
        if end.gone:
            self.store.remove(Resource.POD, *_name(pod))
            self._later(self._lost, pod)
            return
        began = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        ended = {
            "exitCode": end.code,
            "message": self._message(pod, end),
            "reason": "Completed" if end.code == 0 else "Error",
            "startedAt": began,
            "finishedAt": self._stamp(),
        }
        phase = "Succeeded" if end.code == 0 else "Failed"
        said: dict[str, Any] = self._container(pod, {"terminated": ended})
        if end.disrupted:
            said["conditions"] = [
                {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            ]
        self._update(Resource.POD, pod, phase=phase, **said)

    def _kill(self, pod: Any) -> None:
        pod = self._now(Resource.POD, pod)
        self.store.remove(Resource.POD, *_name(pod))
        (owner,) = pod["metadata"]["ownerReferences"]
        job = self.store.find(Resource.JOB, pod["metadata"]["namespace"], owner["name"])
        if job is not None and "deletionTimestamp" in job["metadata"]:
            self._later(self._stop, job)
        else:
            self._later(self._lost, pod)

    def _way(self, pod: Any) -> End | None:
        """How a pod ends; None where it goes on."""
        metadata = pod["metadata"]
        kind = metadata["labels"][KIND_LABEL]
        if STAGE_LABEL in metadata["labels"]:
            stage = Stage.model_validate_json(metadata["annotations"][STAGE_ANNOTATION])
            return self.script(
                stage, int(metadata["labels"][ATTEMPT_LABEL]), int(metadata["annotations"][INDEX])
            )
        if self.failing[kind]:
            self.failing[kind] -= 1
            return End(1)
        return End()

    def _message(self, pod: Any, end: End) -> str:
        if end.code != 0:
            return ""
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"]
        plan = labels.get(PLAN_LABEL)
        frozen = self.store.get(Resource.CONFIG_MAP, namespace, plan) if plan else None
        job = self.store.get(Resource.JOB, namespace, labels[JOB_NAME])
        pods = job["spec"].get("completions", 1)
        return answer_of(pod, frozen, pods, lambda *_: 0, self.held)[1]

    # -- the garbage collector ----------------------------------------------------------------------------------------

    def _collect(self, uid: str) -> None:
        """What has lost all its owners goes; what has others left is freed of this one."""
        for resource in (Resource.CONFIG_MAP, Resource.STAGE, Resource.JOB, Resource.POD, Resource.SERVICE):
            for obj in self.store.all(resource):
                owners = obj["metadata"].get("ownerReferences") or []
                if uid not in [owner["uid"] for owner in owners]:
                    continue
                left = [owner for owner in owners if self.store.alive(owner["uid"])]
                if left:
                    self.store.update(
                        resource, {**obj, "metadata": {**obj["metadata"], "ownerReferences": left}}
                    )
                else:
                    self.store.delete(resource, *_name(obj), obj["metadata"]["uid"], "Background")

    def _collect_orphan(self, found: tuple[Resource, Any]) -> None:
        """What came when its owners were gone already, goes too."""
        resource, obj = found
        obj = self._now(resource, obj)
        if _is_orphan(self.store, obj):
            self.store.delete(resource, *_name(obj), obj["metadata"]["uid"], "Background")

    # -- within -------------------------------------------------------------------------------------------------------

    def _now(self, resource: Resource, obj: Any) -> Any:
        """The object as it is now."""
        now = self.store.get(resource, *_name(obj))
        if now["metadata"]["uid"] != obj["metadata"]["uid"]:
            raise NotFound("it has been made anew")
        return now

    def _update(self, resource: Resource, obj: Any, **status: Any) -> None:
        self.store.update(resource, {**obj, "status": {**mapping(obj, "status"), **deepcopy(status)}})

    def _pods(self, job: Any) -> list[Any]:
        uid = job["metadata"]["uid"]
        return [
            pod for pod in self.store.all(Resource.POD) if pod["metadata"]["ownerReferences"][0]["uid"] == uid
        ]

    def _stamp(self) -> str:
        return stamp(self.clock())

    @staticmethod
    def _container(pod: Any, state: Any) -> dict[str, Any]:
        return {"containerStatuses": [{"name": pod["spec"]["containers"][0]["name"], "state": state}]}


def work_seconds(pod: str) -> int:
    """How long the pod of a name works: whole seconds, so that no two runs are charged differently."""
    return 5 + int(sha256_hex(pod.encode())[:4], 16) % 56


def answer_of(
    pod: Any, frozen: Any, pods: int, script: Callable[[Stage, int], int], held: set[str]
) -> tuple[int, str]:
    """The exit code and last message of a pod of ours.

    Args:
        pod: with the labels and annotations of its template.
        frozen: the plan's ConfigMap, for lookups and reports.
        pods: how many pods its Job has.
        script: the exit code of an attempt of a stage.
        held: the keys whose files the artifact store holds; an attempt that ends well adds its own, a report drops some.
    """
    labels, annotations = pod["metadata"]["labels"], pod["metadata"].get("annotations", {})
    if labels[KIND_LABEL] == "lookup":
        plan, index = thaw(frozen), int(annotations.get(INDEX, 0))
        texts = plan.texts()
        share = [key for key in plan.questions()[index::pods] if key in held]
        found = {key[:PREFIX]: _found(Stage.model_validate_json(texts[key])) for key in share}
        said = {"schema": LOOKUP_SCHEMA, "plan": labels[PLAN_LABEL], "index": index, "found": found}
        return 0, json.dumps(said)
    if labels[KIND_LABEL] == "report":
        gone = json.loads(annotations.get(DROPS_ANNOTATION, "[]"))
        held -= {key for key in held if key[:PREFIX] in gone}
        return 0, json.dumps(
            {"schema": REPORT_SCHEMA, "plan": labels[PLAN_LABEL], "path": "reports/report.html"}
        )
    stage = Stage.model_validate_json(annotations[STAGE_ANNOTATION])
    code = script(stage, int(labels[ATTEMPT_LABEL]))
    if code != 0:
        return code, ""
    missed = next((key for key in stage.parents.values() if key not in held), None)
    if missed is not None:
        error = StageFailure(message="its parent's files must be in the store, are not", parent=missed)
        return 1, Result(key=stage.key, error=error).model_dump_json(by_alias=True, exclude_none=True)
    held.add(stage.key)
    result = Result(key=stage.key, outputs_digest=sha256_hex(stage.key.encode()), scores=scores_of(stage))
    return 0, result.model_dump_json(by_alias=True, exclude_none=True)


def scores_of(stage: Stage) -> dict[str, dict[str, dict[str, str]]]:
    """What an evaluation answers: a number made of its key."""
    if stage.kind is not Kind.EVALUATE:
        return {}
    value = f"{int(stage.key[:4], 16) % 10_000 / 100:.2f}"
    return {
        data.task.name: {name: dict.fromkeys(data.languages, value) for name in MAIN[data.task.metric]}
        for data in EvaluateSpec.model_validate(stage.spec).data
    }


def _found(stage: Stage) -> dict[str, Any]:
    scores = scores_of(stage)
    return {"outputsDigest": sha256_hex(stage.key.encode()), "scores": scores} if scores else {}


def _is_orphan(store: Store, obj: Any) -> bool:
    """Whether an object had owners, and none of them is there."""
    owners = obj["metadata"].get("ownerReferences") or []
    return bool(owners) and not any(store.alive(owner["uid"]) for owner in owners)


def _phase(pod: Any) -> str:
    return str(mapping(pod, "status").get("phase", ""))


def _name(obj: Any) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
