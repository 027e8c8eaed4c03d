"""A cluster in a dictionary: it does what decisions want, and a test says how pods end.

Plays the API server (versions, UIDs, 409), the Job controller (pods, their deletion, the Job's end) and the garbage collector.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from xstilts.canonical import sha256_hex
from xstilts.scoring import MAIN
from xstilts.stage import EvaluateSpec, Kind, Result, Stage
from xstilts_operator.actions import (
    ApplyStatus,
    Create,
    CreateJob,
    Decision,
    Delete,
    Emit,
    Reference,
    Resource,
    SetOwners,
)
from xstilts_operator.answers import LOOKUP_SCHEMA, PREFIX, REPORT_SCHEMA
from xstilts_operator.cache import Cache
from xstilts_operator.decide import Decider
from xstilts_operator.names import ATTEMPT_LABEL, DROPS_ANNOTATION, KIND_LABEL, STAGE_ANNOTATION, STAGE_LABEL
from xstilts_operator.observe import Observatory
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import mapping, stamp

NAMESPACE = "team"
START = datetime(2026, 1, 1, tzinfo=UTC)
INDEX = "batch.kubernetes.io/job-completion-index"


def source(name: str) -> str:
    return f"store://{name}@sha256:{sha256_hex(name.encode())}"


SPEC: dict[str, Any] = {
    "models": [{"name": "small", "pretrained": source("small"), "family": "E5"}],
    "tasks": [{"name": name, "data": source(name)} for name in ("mnli", "squad", "xnli", "tatoeba")],
    "intermediates": [{"name": "squad", "tasks": ["squad"]}],
    "targets": [{"task": "xnli"}, {"task": "tatoeba"}],
    "seeds": [1],
    "resources": {"gpus": 1},
}
SETTINGS = Settings.parse(
    {
        "images": {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"},
        "stores": {"default": {"claim": "experiments"}},
        "kueue": True,
    }
)


@dataclass(frozen=True)
class End:
    """How a pod ends."""

    code: int = 0
    message: str | None = None  # None: a result, where the code is 0
    disrupted: bool = False
    reason: str = ""
    seconds: int = 60


@dataclass
class World:
    """All objects, the time, and what has ever been done.

    Attributes:
        store: the keys that the artifact store holds, with the value of all their scores.
        dropped: the keys of those whose weights have been dropped, by a report or from the beginning.
        jobs_made: the names of all Jobs ever made, in order.
        made_for: for each of them the UID of its owner.
        writes: of each object, what was written: create, status, owners, job.
        events: those that were emitted.
        lingering: pods that are being deleted take their time.
        asked: how many keys the store has been asked for.
        report_end: how reports end; None: they go on running.
    """

    settings: Settings = SETTINGS
    now: datetime = START
    store: dict[str, float] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    jobs_made: list[str] = field(default_factory=list)
    made_for: list[str] = field(default_factory=list)
    writes: dict[str, list[str]] = field(default_factory=dict)
    events: list[Emit] = field(default_factory=list)
    lingering: bool = False
    asked: int = 0
    report_end: End | None = End()

    def __post_init__(self) -> None:
        self.cache = Cache()
        self._version = 0
        self._bodies: dict[str, Any] = {}  # of Jobs, whose templates the cache does not keep
        self.restart()

    def restart(self) -> None:
        """Another process of the operator: it remembers nothing."""
        self.decide = Decider(Observatory(self.cache), self.settings)

    # -- what people do -----------------------------------------------------------------------------------------

    def submit(self, name: str = "grid", **spec: Any) -> str:
        """kubectl create; returns the UID."""
        body = {
            "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
            "spec": {**deepcopy(SPEC), **spec},
        }
        return self._put(Resource.EXPERIMENT, body)["metadata"]["uid"]

    def edit(self, name: str = "grid", **spec: Any) -> None:
        """kubectl patch of the spec."""
        old = self.get(Resource.EXPERIMENT, name)
        new = deepcopy(old) | {"spec": {**old["spec"], **spec}}
        new["metadata"]["generation"] += new["spec"] != old["spec"]
        self._replace(Resource.EXPERIMENT, new)

    def remove(self, name: str = "grid") -> None:
        """kubectl delete of an experiment."""
        self._collect(Resource.EXPERIMENT, self.get(Resource.EXPERIMENT, name))

    def scribble(self, resource: Resource, name: str, status: Any) -> None:
        """Somebody writes a status by hand."""
        self._replace(resource, deepcopy(self.get(resource, name)) | {"status": status})

    # -- what the operator does ---------------------------------------------------------------------------------

    def get(self, resource: Resource, name: str) -> Any:
        found = self.cache.get(resource, NAMESPACE, name)
        assert found is not None, f"no {resource} {name}"
        return found

    def names(self, resource: Resource) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.cache.list(resource)]

    def status(self, name: str = "grid") -> Any:
        return mapping(self.get(Resource.EXPERIMENT, name), "status")

    def said(self, name: str = "grid") -> tuple[str, str, str]:
        """Status, reason and message of the summary condition."""
        (one,) = [each for each in self.status(name)["conditions"] if each["type"] == "Succeeded"]
        return one["status"], one["reason"], one["message"]

    def stages(self, kind: str | None = None) -> dict[str, Any]:
        """Title -> TransferStage."""
        return {
            stage["spec"]["title"]: stage
            for stage in self.cache.list(Resource.STAGE)
            if kind in (None, stage["spec"]["kind"])
        }

    def states(self) -> dict[str, str]:
        return {title: mapping(one, "status").get("state", "Pending") for title, one in self.stages().items()}

    def reconcile(self, resource: Resource, name: str) -> Decision:
        """Decide about an object once and do what is wanted."""
        decision = self.decide(Key(resource, NAMESPACE, name), self.now)
        for action in decision.actions:
            self.do(action)
        return decision

    def settle(self, passes: int = 20) -> None:
        """Decide about everything until nothing is wanted any more."""
        for _ in range(passes):
            keys = [
                (kind, name) for kind in (Resource.EXPERIMENT, Resource.STAGE) for name in self.names(kind)
            ]
            done = [self.reconcile(*key).actions for key in keys if self.cache.get(key[0], NAMESPACE, key[1])]
            self.end_deletions()
            if not any(done):
                return
        raise AssertionError("it does not come to rest")

    def do(self, action: Any) -> None:
        match action:
            case Create(resource, body):
                self._create(resource, body)
            case CreateJob(stage, attempt, body):
                status = mapping(self.get(Resource.STAGE, stage.name), "status")
                assert (status["state"], status["attempt"]["number"]) == ("Active", attempt)
                self._wrote(stage.name, "job")
                self._create(Resource.JOB, body)
            case ApplyStatus(target, status, version):
                old = self._current(target, version)
                assert status != {
                    key: said for key, said in mapping(old, "status").items() if key != "progress"
                }
                json.dumps(status, allow_nan=False)
                _refuse_floats(status)
                self._wrote(target.name, "status")
                progress = mapping(old, "status").get("progress")
                new = {**status, **({"progress": progress} if progress is not None else {})}
                self._replace(target.resource, deepcopy(old) | {"status": new})
            case SetOwners(target, owners, version):
                new = deepcopy(self._current(target, version))
                new["metadata"]["ownerReferences"] = list(owners)
                self._wrote(target.name, "owners")
                self._replace(target.resource, new)
            case Delete(target, _):
                self._delete(target)
            case Emit():
                self.events.append(action)

    # -- what the cluster does ----------------------------------------------------------------------------------

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def start_pods(self) -> None:
        """Every Job that may run and has no pods gets them, and they run."""
        for job in self.cache.list(Resource.JOB):
            name, uid = job["metadata"]["name"], job["metadata"]["uid"]
            idle = job["spec"].get("suspend") or _over(job) or "deletionTimestamp" in job["metadata"]
            if idle or self.cache.pods_of_job(NAMESPACE, name):
                continue
            body = self._bodies[uid]
            started = deepcopy(job)
            started["status"] = {**started.get("status", {}), "startTime": stamp(self.now)}
            self._replace(Resource.JOB, started)
            for index in range(body["spec"].get("completions", 1)):
                labels = dict(body["spec"]["template"]["metadata"]["labels"])
                self._put(
                    Resource.POD,
                    {
                        "metadata": {
                            "name": f"{name}-{index}",
                            "namespace": NAMESPACE,
                            "labels": labels | {"batch.kubernetes.io/job-name": name},
                            "annotations": {INDEX: str(index)},
                            "ownerReferences": [
                                {"uid": uid, "kind": "Job", "name": name, "controller": True}
                            ],
                        },
                        "status": self._pod_status(
                            "Running", {"running": {"startedAt": stamp(self.now)}}, body
                        ),
                    },
                )

    def running(self) -> list[str]:
        """The names of the Jobs of stages whose pods run."""
        return [
            job["metadata"]["name"]
            for job in self.cache.list(Resource.JOB)
            if STAGE_LABEL in job["metadata"]["labels"]
            and not _over(job)
            and "deletionTimestamp" not in job["metadata"]
            and self.cache.pods_of_job(NAMESPACE, job["metadata"]["name"])
        ]

    def finish(self, name: str, *ends: End) -> None:
        """The pods of a Job end, each as its `End` says (the last for the rest), and then the Job."""
        ends = ends or (End(),)
        job = self.get(Resource.JOB, name)
        pods = self.cache.pods_of_job(NAMESPACE, name)
        for index, pod in enumerate(pods):
            self.end_pod(pod["metadata"]["name"], ends[min(index, len(ends) - 1)])
        self.end_job(name, complete=all(end.code == 0 and not end.disrupted for end in ends[: len(pods)]))
        assert job is not None

    def end_pod(self, name: str, end: End) -> None:
        pod = deepcopy(self.get(Resource.POD, name))
        job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
        body = self._bodies[self.get(Resource.JOB, job)["metadata"]["uid"]]
        message = end.message
        if message is None:
            message = self._result(body) if end.code == 0 else ""
        began = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        finished = datetime.fromisoformat(began) + timedelta(seconds=end.seconds)
        state = {
            "terminated": {
                "exitCode": end.code,
                "message": message,
                "startedAt": began,
                "finishedAt": stamp(finished),
                "reason": end.reason or ("Completed" if end.code == 0 else "Error"),
            }
        }
        failed = end.code != 0 or end.disrupted
        pod["status"] = self._pod_status("Failed" if failed else "Succeeded", state, body)
        if end.disrupted:
            pod["status"]["conditions"] = [
                {"type": "DisruptionTarget", "status": "True", "reason": "Eviction"}
            ]
        self._replace(Resource.POD, pod)

    def end_job(self, name: str, *, complete: bool) -> None:
        job = deepcopy(self.get(Resource.JOB, name))
        kind = "Complete" if complete else "Failed"
        job["status"] = {
            **job.get("status", {}),
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "lastTransitionTime": stamp(self.now),
                    "reason": kind,
                    "message": "",
                }
            ],
        }
        self._replace(Resource.JOB, job)

    def lose(self, resource: Resource, name: str) -> None:
        """An object vanishes at once."""
        self.cache.delete(resource, self.get(resource, name))

    def play(self, decide: Callable[[Any], End | None] = lambda _: End(), rounds: int = 60) -> None:
        """Run everything to the end; `decide` says how a stage's Job ends (None: it goes on running)."""
        for _ in range(rounds):
            self.settle()
            self.start_pods()
            self.settle()
            self.tick(70)
            self.answer()
            ended = False
            for name in self.running():
                end = decide(self.stage_of(name))
                if end is not None:
                    self.finish(name, end)
                    ended = True
            self.settle()
            waiting = [job for job in self.cache.list(Resource.JOB) if not _over(job)]
            states = self.states().values()
            if not ended and not waiting and not set(states) & {"Active", "Waiting"}:
                return
            self.tick(300)

    def stage_of(self, job: str) -> Any:
        """The TransferStage of a Job."""
        return self.get(Resource.STAGE, self.get(Resource.JOB, job)["metadata"]["labels"][STAGE_LABEL])

    def answer(self) -> None:
        """The lookups that run end well, and the reports as they are said to."""
        for job in self.cache.list(Resource.JOB):
            name, kind = job["metadata"]["name"], job["metadata"]["labels"][KIND_LABEL]
            pods = self.cache.pods_of_job(NAMESPACE, name)
            if kind not in {"lookup", "report"} or _over(job) or not pods:
                continue
            end = self.report_end if kind == "report" else End()
            if end is None:
                continue
            if end.code != 0:
                self.finish(name, end)
                continue
            for index, pod in enumerate(pods):
                message = self._found(job, index) if kind == "lookup" else self._written(job)
                self.end_pod(pod["metadata"]["name"], End(message=message, seconds=1))
            self.end_job(name, complete=True)

    # -- within -------------------------------------------------------------------------------------------------

    def _found(self, job: Any, index: int) -> str:
        plan = self.cache.plan_of(NAMESPACE, job["metadata"]["labels"]["xstilts.dev/plan"])
        assert plan is not None
        texts = plan.texts()
        body = self._bodies[job["metadata"]["uid"]]
        volumes = {one["name"]: one for one in body["spec"]["template"]["spec"]["volumes"]}
        before = volumes["asked"]["configMap"]["name"] if "asked" in volumes else ""
        questions = plan.questions(self.cache.plan_of(NAMESPACE, before))
        self.asked += len(questions) if index == 0 else 0
        share = questions[index :: job["spec"].get("completions", 1)]
        found: dict[str, Any] = {}
        for key in share:
            if key in self.store:
                stage = Stage.model_validate_json(texts[key])
                scores = scores_of(stage, self.store[key])
                told = {"outputsDigest": sha256_hex(key.encode()), "scores": scores} if scores else {}
                found[key[:PREFIX]] = {"gpuSeconds": 360, **told}
                found[key[:PREFIX]] |= {"dropped": True} if key in self.dropped else {}
        name = job["metadata"]["labels"]["xstilts.dev/plan"]
        return json.dumps({"schema": LOOKUP_SCHEMA, "plan": name, "index": index, "found": found})

    def _written(self, job: Any) -> str:
        name = job["metadata"]["labels"]["xstilts.dev/plan"]
        template = self._bodies[job["metadata"]["uid"]]["spec"]["template"]
        plan = self.cache.plan_of(NAMESPACE, name)
        assert plan is not None
        gone = json.loads(template["metadata"]["annotations"].get(DROPS_ANNOTATION, "[]"))
        self.dropped |= {key for key in plan.stages if key[:PREFIX] in gone}
        return json.dumps({"schema": REPORT_SCHEMA, "plan": name, "path": "reports/grid/report.html"})

    def _result(self, body: Any) -> str:
        text = body["spec"]["template"]["metadata"].get("annotations", {}).get(STAGE_ANNOTATION)
        if text is None:
            return ""
        stage = Stage.model_validate_json(text)
        digest = sha256_hex(stage.key.encode())
        assert not self.dropped & set(stage.parents.values()), "it began from weights that are gone"
        self.dropped.discard(stage.key)
        return Result(key=stage.key, outputs_digest=digest, scores=scores_of(stage, 50.0)).model_dump_json(
            by_alias=True
        )

    @staticmethod
    def _pod_status(phase: str, state: Any, body: Any) -> dict[str, Any]:
        container = body["spec"]["template"]["spec"]["containers"][0]["name"]
        return {"phase": phase, "containerStatuses": [{"name": container, "state": state}]}

    def _create(self, resource: Resource, body: Any) -> None:
        name = body["metadata"]["name"]
        if self.cache.get(resource, NAMESPACE, name) is not None:
            return
        made = self._put(resource, body)
        self._wrote(name, "create")
        if resource is Resource.JOB:
            self._bodies[made["metadata"]["uid"]] = body
            self.jobs_made.append(name)
            self.made_for.append(body["metadata"]["ownerReferences"][0]["uid"])
        if resource is Resource.CONFIG_MAP:
            plan = self.cache.plan_of(NAMESPACE, name)
            (owner,) = body["metadata"]["ownerReferences"]
            assert plan is not None
            self.cache.index_plan(
                owner["uid"], NAMESPACE, plan.name, [one.name for one in plan.stages.values()]
            )

    def _put(self, resource: Resource, body: Any) -> Any:
        self._version += 1
        made = deepcopy(dict(body))
        made["metadata"] |= {"uid": f"uid-{self._version}", "resourceVersion": str(self._version)}
        self.cache.upsert(resource, made)
        return made

    def _replace(self, resource: Resource, obj: Any) -> None:
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.cache.upsert(resource, obj)

    def _current(self, target: Reference, version: str | None) -> Any:
        current = self.get(target.resource, target.name)
        assert target.uid in (None, current["metadata"]["uid"])
        assert version in (None, current["metadata"]["resourceVersion"])
        return current

    def _delete(self, target: Reference) -> None:
        found = self.cache.get(target.resource, NAMESPACE, target.name)
        if found is None or target.uid not in (None, found["metadata"]["uid"]):
            return
        if target.resource is Resource.JOB:  # Foreground: it stays until its pods are gone
            self._replace(Resource.JOB, _leaving(found, self.now))
            for pod in self.cache.pods_of_job(NAMESPACE, target.name):
                self._replace(Resource.POD, _leaving(pod, self.now))
            return
        self._collect(target.resource, found)

    def end_deletions(self) -> None:
        """What is being deleted is gone: pods first, then their Jobs."""
        if self.lingering:
            return
        for resource in (Resource.POD, Resource.JOB):
            for obj in self.cache.list(resource):
                if "deletionTimestamp" in obj["metadata"]:
                    self.cache.delete(resource, obj)

    def _collect(self, resource: Resource, obj: Any) -> None:
        """An object goes, and what nobody else owns goes with it."""
        self.cache.delete(resource, obj)
        uid = obj["metadata"]["uid"]
        for kind in (Resource.CONFIG_MAP, Resource.STAGE, Resource.JOB, Resource.POD, Resource.SERVICE):
            for other in self.cache.list(kind):
                owners = [owner["uid"] for owner in other["metadata"].get("ownerReferences", ())]
                alive = {one["metadata"]["uid"] for each in Resource for one in self.cache.list(each)}
                if uid in owners and not alive & set(owners):
                    self._collect(kind, other)

    def _wrote(self, name: str, what: str) -> None:
        self.writes.setdefault(name, []).append(what)


def scores_of(stage: Stage, value: float) -> dict[str, dict[str, dict[str, str]]]:
    """What an evaluation answers: every language has the same value."""
    if stage.kind is not Kind.EVALUATE:
        return {}
    return {
        data.task.name: {
            name: dict.fromkeys(data.languages, f"{value:.2f}") for name in MAIN[data.task.metric]
        }
        for data in EvaluateSpec.model_validate(stage.spec).data
    }


def usage(stage: Mapping[str, Any]) -> dict[str, int]:
    """UID -> GPU-seconds of a TransferStage."""
    return {one["experimentUID"]: one["gpuSeconds"] for one in mapping(stage, "status").get("usage", ())}


def attempt_of(job: Mapping[str, Any]) -> int:
    return int(job["metadata"]["labels"][ATTEMPT_LABEL])


def _over(job: Any) -> bool:
    return bool(mapping(job, "status").get("conditions"))


def _leaving(obj: Any, now: datetime) -> Any:
    left = deepcopy(obj)
    left["metadata"]["deletionTimestamp"] = stamp(now)
    return left


def _refuse_floats(value: Any) -> None:
    assert not isinstance(value, float), value
    for item in (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    ):
        _refuse_floats(item)
