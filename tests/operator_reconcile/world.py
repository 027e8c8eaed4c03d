"""A cluster around decisions: people who ask for things, the Job controller and its pods, and a test says how those end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from operator_reconcile.server import NAMESPACE, Server
from xstilts.canonical import sha256_hex
from xstilts.scoring import MAIN
from xstilts.stage import EvaluateSpec, Kind, Result, Stage
from xstilts_operator.actions import (
    Decision,
    Resource,
)
from xstilts_operator.answers import LOOKUP_SCHEMA, PREFIX, REPORT_SCHEMA
from xstilts_operator.decide import Decider
from xstilts_operator.names import ATTEMPT_LABEL, DROPS_ANNOTATION, KIND_LABEL, STAGE_ANNOTATION, STAGE_LABEL
from xstilts_operator.observe import Observatory
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import mapping, stamp

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
class World(Server):
    """People, the operator, pods and the artifact store around a server.

    Attributes:
        store: the keys that the artifact store holds, with the value of all their scores.
        dropped: the keys of those whose weights have been dropped, by a report or from the beginning.
        asked: how many keys the store has been asked for.
        report_end: how reports end; None: they go on running.
        refused: pods of stages are refused, by a quota say: no Job gets any.
        full: pods of stages find no node: they wait.
    """

    settings: Settings = SETTINGS
    store: dict[str, float] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    asked: int = 0
    report_end: End | None = End()
    refused: bool = False
    full: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
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
            of_stage = STAGE_LABEL in job["metadata"]["labels"]
            pods = 0 if of_stage and self.refused else body["spec"].get("completions", 1)
            started["status"] = {**started.get("status", {}), "startTime": stamp(self.now), "active": pods}
            self._replace(Resource.JOB, started)
            for index in range(pods):
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
                        "status": {"phase": "Pending"}
                        if of_stage and self.full
                        else self._pod_status("Running", {"running": {"startedAt": stamp(self.now)}}, body),
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
            self.start_pods()
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


def under_way(world: World, *names: str, **spec) -> None:
    """Submit experiments and run them until their first Jobs run."""
    for name in names or ("grid",):
        world.submit(name, **spec)
    world.settle()
    world.start_pods()
    world.answer()
    world.settle()
    world.start_pods()
    world.settle()


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
