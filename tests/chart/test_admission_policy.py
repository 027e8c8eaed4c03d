"""The second layer on a real API server: it takes every Job that the operator makes, and refuses its account all others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import ApiException

from chart.rendering import CASES, CHART, NAME, NAMESPACE, RELEASE, STORES, Object, of_kind, render
from chart.server import TEAM, Audited, on_server, values
from controlplane.api import Api, connect, eventually
from operator_jobs.canaries import EVERYTHING
from xstilts.plan.placement import placement
from xstilts.spec import parse_experiment
from xstilts.stage import Kind
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.jobs import Attempt, lookup_job, report_job, stage_job
from xstilts_operator.jobs.lookup import Asked
from xstilts_operator.plans import accept, config_map
from xstilts_operator.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("rendered"),
]

UID = "5f1c2d3e-0000-4000-8000-000000000001"
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
PLACEMENT = {
    "nodeSelectorKeys": ["canary/selector"],
    "tolerationKeys": ["canary/toleration"],
    "priorityClassNames": ["canary-priority"],
    "runtimeClassNames": ["canary-runtime"],
}
NARROW = {
    "pods": {
        "placement": PLACEMENT,
        "nodeSelector": {"example.com/pool": "nlp"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "environment": {"HTTPS_PROXY": "http://proxy.example.com:3128"},
    },
    "hub": {"endpoint": "https://hub.example.com", "tokenSecret": "hub"},
    "stores": {**STORES, "canary-store": {"claim": "canaries"}},
}


def jobs_of(settings: Settings, store: str) -> dict[str, Object]:
    """Jobs of every kind that the operator makes of an experiment in which every field stands."""
    body = deepcopy(EVERYTHING)
    body["metadata"]["namespace"] = TEAM
    body["spec"]["store"]["name"] = store
    experiment = parse_experiment(json.dumps(body))
    document = accept(experiment, UID, settings.images.trainer)
    said, texts = settings.store(store, TEAM), document.texts()
    assert said is not None
    made: dict[str, Object] = {}
    for stage in document.stages.values():
        attempt = Attempt(
            stage=Reference(Resource.STAGE, TEAM, stage.name, UID),
            kind=stage.kind,
            text=texts[stage.key],
            number=1,
            payer=document.name,
            placement=placement(experiment.spec, stage.kind, document.models(stage)),
            queue=experiment.spec.queue_name,
        )
        made.setdefault(stage.kind.value, stage_job(attempt, said, settings))
    owner = Reference(Resource.EXPERIMENT, TEAM, document.name, UID)
    plan = config_map(document, UID)["metadata"]["name"]
    outputs = {one.key: "d" * 64 for one in document.of_kind(Kind.EVALUATE)}
    made["lookup"] = lookup_job(owner, plan, document, said, settings)
    made["lookup again"] = lookup_job(owner, plan, document, said, settings, before=Asked(plan, document))
    trainings = [one.key for one in document.of_kind(Kind.TRAIN)]
    started = "2026-01-31T08:00:00Z"
    made["report"] = report_job(owner, plan, outputs, started, said, settings)
    made["report that drops"] = report_job(owner, plan, outputs, started, said, settings, drops=trainings)
    assert made.keys() >= {kind.value for kind in Kind}
    return {name: {"apiVersion": "batch/v1", "kind": "Job", **one} for name, one in made.items()}


def settings_of(plane: Audited) -> Settings:
    """What the chart has told the operator."""
    found = json.loads(plane.kubectl("get", "configmap", NAME, "-n", NAMESPACE, "-o", "json"))
    return Settings.parse(yaml.safe_load(found["data"]["settings.yaml"]))


async def refusal(api: Api, job: Object) -> str:
    """Why the API server would not make the Job; empty where it would."""
    try:
        await api.create(f"/apis/batch/v1/namespaces/{TEAM}/jobs", job, dryRun="All")
    except ApiException as error:
        return str(json.loads(error.body)["message"])
    return ""


@pytest.fixture(params=["as installed", "narrowed"], scope="module")
def enforced(request: pytest.FixtureRequest, installed: Audited) -> Iterator[Audited]:
    """The policy of two sets of values."""
    more = NARROW if request.param == "narrowed" else {}
    on_server(installed, "upgrade", RELEASE, CHART, "--values", "-", stdin=values(**more))
    yield installed
    on_server(installed, "upgrade", RELEASE, CHART, "--values", "-", stdin=values())


async def test_it_takes_every_job_that_the_operator_makes(enforced: Audited) -> None:
    settings = settings_of(enforced)
    async with connect(enforced.service_account_kubeconfig(NAMESPACE, NAME)) as operator:
        for store in settings.stores_of(TEAM):
            for job in jobs_of(settings, store).values():

                async def taken(job: Object = job) -> bool:
                    return await refusal(operator, job) == ""

                await eventually(taken, within_s=30, every_s=0.5)  # a policy that was just written


Change = Callable[[Object, Object], object]  # of the pod's spec and its container

ANOTHER_PROGRAM = "must run the trainer, a lookup or a report"
ACCOUNT = "must have the stages' account"
VARIABLES = "must have no variables but the operator's own"
STORE = "must name a store of the administrator"
SECRETS = "must read no Secret but the administrator's"
VOLUMES = "must mount nothing but"
NODE = "must have nothing of its node"
RESTRICTED = "must pass the restricted Pod Security Standard"
SHELL = {"exec": {"command": ["sh", "-c", "id"]}}


def _with(name: str, value: Any) -> Change:
    return lambda _pod, container: container["env"].append({"name": name, **value})


def _says(name: str, value: str) -> Change:
    def change(_pod: Object, container: Object) -> None:
        (one,) = [each for each in container["env"] if each["name"] == name]
        one["value"] = value

    return change


def _volume(**source: Any) -> Change:
    return lambda pod, _: pod["volumes"].append({"name": "more", **source})


def _pod(**fields: Any) -> Change:
    return lambda pod, _: pod.update(fields)


def _container(**fields: Any) -> Change:
    return lambda _, container: container.update(fields)


def _inner(**fields: Any) -> Change:
    return lambda _, container: container["securityContext"].update(fields)


def _outer(**fields: Any) -> Change:
    return lambda pod, _: pod["securityContext"].update(fields)


def _more_containers(field: str) -> Change:
    return lambda pod, container: pod.setdefault(field, []).append({**container, "name": "other"})


def _token(**said: Any) -> Change:
    return _volume(projected={"sources": [{"serviceAccountToken": {"path": "token", **said}}]})


CHANGES: Mapping[str, tuple[Change, str]] = {
    "a second container": (_more_containers("containers"), "must have one container"),
    "a container before it": (_more_containers("initContainers"), "must have one container"),
    "another image": (_container(image="registry.example/other:1"), ANOTHER_PROGRAM),
    "the other image": (_container(image="xstilts-operator:0.1.0"), ANOTHER_PROGRAM),
    "a shell": (_container(command=["sh", "-c", "id"]), ANOTHER_PROGRAM),
    "another module": (_container(command=["python", "-m", "http.server"]), ANOTHER_PROGRAM),
    "the image's own program": (lambda _, container: container.pop("command"), ANOTHER_PROGRAM),
    "arguments": (_container(args=["--help"]), ANOTHER_PROGRAM),
    "a folder to work in": (_container(workingDir="/var/lib/xstilts/store"), ANOTHER_PROGRAM),
    "a shell at its start": (_container(lifecycle={"postStart": SHELL}), ANOTHER_PROGRAM),
    "a shell as a probe": (_container(livenessProbe=SHELL), ANOTHER_PROGRAM),
    "another account": (_pod(serviceAccountName="admin"), ACCOUNT),
    "the default account": (lambda pod, _: pod.pop("serviceAccountName"), ACCOUNT),
    "the account's token": (_pod(automountServiceAccountToken=True), ACCOUNT),
    "the account's token by default": (lambda pod, _: pod.pop("automountServiceAccountToken"), ACCOUNT),
    "a library to load": (_with("LD_PRELOAD", {"value": "/tmp/evil.so"}), VARIABLES),
    "modules of its own": (_with("PYTHONPATH", {"value": "/var/lib/xstilts/store"}), VARIABLES),
    "another root": (_says("XSTILTS_STORE", "/var/lib"), STORE),
    "another root beside": (_with("XSTILTS_STORE", {"value": "s3://other"}), STORE),
    "another namespace": (_says("XSTILTS_NAMESPACE", "team-b"), STORE),
    "no variables": (lambda _, container: container.pop("env"), STORE),
    "another hub": (_with("HF_ENDPOINT", {"value": "https://hub.example"}), STORE),
    "a Secret's key": (
        _with("XSTILTS_MORE", {"valueFrom": {"secretKeyRef": {"name": "hub", "key": "k"}}}),
        SECRETS,
    ),
    "another Secret for the hub": (
        _with("HF_TOKEN", {"valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}),
        SECRETS,
    ),
    "a Secret's keys": (_container(envFrom=[{"secretRef": {"name": "other"}}]), SECRETS),
    "a ConfigMap's keys": (_container(envFrom=[{"configMapRef": {"name": "other"}}]), SECRETS),
    "a folder of the node": (_volume(hostPath={"path": "/"}), VOLUMES),
    "a Secret": (_volume(secret={"secretName": "other"}), VOLUMES),
    "a Secret among others": (_volume(projected={"sources": [{"secret": {"name": "other"}}]}), VOLUMES),
    "a token for the API": (_token(), VOLUMES),
    "a token for another": (_token(audience="https://vault.example"), VOLUMES),
    "a token for another namespace": (
        _token(audience="xstilts.dev/v1alpha1/namespaces/team-b/transferstages/x/status"),
        VOLUMES,
    ),
    "another claim": (_volume(persistentVolumeClaim={"claimName": "others"}), VOLUMES),
    "a file server": (_volume(nfs={"server": "nfs.example", "path": "/"}), VOLUMES),
    "the node's network": (_pod(hostNetwork=True), NODE),
    "the node's processes": (_pod(hostPID=True), NODE),
    "the node's memory": (_pod(hostIPC=True), NODE),
    "a node": (_pod(nodeName="control-plane"), NODE),
    "a port of the node": (_container(ports=[{"containerPort": 80, "hostPort": 80}]), NODE),
    "privileged": (_inner(privileged=True, allowPrivilegeEscalation=True), RESTRICTED),
    "more rights": (_inner(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}), RESTRICTED),
    "all rights": (_inner(capabilities={}), RESTRICTED),
    "escalation": (_inner(allowPrivilegeEscalation=True), RESTRICTED),
    "a root that is written": (_inner(readOnlyRootFilesystem=False), RESTRICTED),
    "root inside": (_inner(runAsUser=0), RESTRICTED),
    "no security of its container": (lambda _, container: container.pop("securityContext"), RESTRICTED),
    "root": (_outer(runAsNonRoot=False), RESTRICTED),
    "every system call": (_outer(seccompProfile={"type": "Unconfined"}), RESTRICTED),
    "every system call inside": (_inner(seccompProfile={"type": "Unconfined"}), RESTRICTED),
    "a setting of the kernel": (
        _outer(sysctls=[{"name": "kernel.shm_rmid_forced", "value": "1"}]),
        RESTRICTED,
    ),
    "another user": (_outer(runAsUser=1), "must run as the administrator's user"),
    "another group": (_outer(fsGroup=1), "must run as the administrator's user"),
}
NARROWER: Mapping[str, tuple[Change, str]] = {
    "another label": (_pod(nodeSelector={"pool": "control"}), "must select nodes"),
    "a rule for nodes": (_pod(affinity={"nodeAffinity": {}}), "must select nodes"),
    "another taint": (_pod(tolerations=[{"key": "control", "operator": "Exists"}]), "must tolerate"),
    "every taint": (_pod(tolerations=[{"operator": "Exists"}]), "must tolerate"),
    "another priority": (_pod(priorityClassName="system-node-critical"), "must have a priority"),
    "another runtime": (_pod(runtimeClassName="other"), "must have a runtime class"),
}


async def test_it_refuses_all_that_the_operator_never_makes(enforced: Audited) -> None:
    settings = settings_of(enforced)
    narrowed = settings.pods.placement.priority_class_names is not None
    good = jobs_of(settings, "default")["train"]
    changes = {**CHANGES, **(NARROWER if narrowed else {})}
    account = enforced.service_account_kubeconfig(NAMESPACE, NAME)
    async with connect(account) as operator, connect(enforced.kubeconfig) as admin:

        async def in_force() -> bool:
            shell = changed(good, CHANGES["a shell"][0])
            return ANOTHER_PROGRAM in await refusal(operator, shell) and not await refusal(operator, good)

        await eventually(in_force, within_s=30, every_s=0.5)
        for name, (change, message) in changes.items():
            job = changed(good, change)
            said = await refusal(operator, job)
            assert message in said, (name, said)
            assert "ValidatingAdmissionPolicy" in said
            assert await refusal(admin, job) == "", name  # so it is this policy that refuses, and it alone


def changed(job: Object, change: Change) -> Object:
    job = deepcopy(job)
    pod = job["spec"]["template"]["spec"]
    change(pod, pod["containers"][0])
    return job


def test_the_policy_of_every_case_is_one_that_the_server_compiles(plane: Audited) -> None:
    compiled = 0
    for said in CASES.values():
        policies = of_kind(render({**said, "admissionPolicy": {"enabled": True}}), *POLICIES)
        assert [one["kind"] for one in policies] == list(POLICIES)
        for one in policies:
            one["metadata"]["name"] = "tried"  # beside the chart's own
            plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(one))
            compiled += 1
    assert compiled == 2 * len(CASES)
    broken = policies[0]
    broken["spec"]["validations"][0]["expression"] = "variables.nothing == 1"
    with pytest.raises(RuntimeError, match="undefined field"):
        plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(broken))
