"""What every pod of an experiment must be, whatever its author has written: less than who may create pods can have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from operator_jobs.kubernetes_schemas import assert_restricted
from xstilts.plan.placement import placement
from xstilts.plan.sources import is_unpinned
from xstilts.spec import Experiment, Resources
from xstilts.stage import EvaluateSpec, Kind, Stage, TrainSpec
from xstilts.store import layout
from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.jobs import Attempt, lookup_job, report_job, stage_job
from xstilts_operator.names import STAGE_ANNOTATION
from xstilts_operator.plans import accept, config_map
from xstilts_operator.progress.protocol import CA_CONFIG_MAP, audience
from xstilts_operator.settings import STORE_MOUNT, Settings, StoreSettings

UID = "5f1c2d3e-0000-4000-8000-000000000001"
PLAN, ASKED = "/etc/xstilts/plan/plan.json.gz", "/etc/xstilts/asked/plan.json.gz"
OUTPUTS, DROPS = "/etc/xstilts/outputs/OUTPUTS.json", "/etc/xstilts/drops/DROPS.json"
COMMANDS = {
    "stage": [["python", "-m", "xstilts_trainer", "/etc/xstilts/STAGE.json"]],
    "lookup": [
        ["python", "-m", "xstilts_operator.lookup", PLAN],
        ["python", "-m", "xstilts_operator.lookup", PLAN, ASKED],
    ],
    "report": [
        ["python", "-m", "xstilts_operator.report", PLAN, OUTPUTS],
        ["python", "-m", "xstilts_operator.report", PLAN, OUTPUTS, DROPS],
    ],
}
WRITTEN = {"/tmp", "/dev/shm", STORE_MOUNT}
READ = {"/etc/xstilts", "/etc/xstilts/plan", "/etc/xstilts/asked", "/etc/xstilts/outputs"}
READ |= {"/etc/xstilts/drops", "/var/run/secrets/xstilts.dev/progress"}
VARIABLES = {
    "HF_ENDPOINT", "HF_TOKEN", "HOME", "KUBEFLOW_TRAINER_SERVER_CA_CERT", "KUBEFLOW_TRAINER_SERVER_TOKEN",
    "KUBEFLOW_TRAINER_SERVER_URL", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "XSTILTS_ATTEMPT", "XSTILTS_INDEX",
    "XSTILTS_INDEXES", "XSTILTS_MASTER", "XSTILTS_NAMESPACE", "XSTILTS_NODES", "XSTILTS_NODE_RANK", "XSTILTS_PLAN",
    "XSTILTS_RANKS_PER_NODE", "XSTILTS_STARTED", "XSTILTS_STORE",
}  # fmt: skip
PLACEMENT = ("nodeSelector", "tolerations", "priorityClassName", "runtimeClassName")
READERS: Mapping[Kind, type[TrainSpec | EvaluateSpec]] = {Kind.TRAIN: TrainSpec, Kind.EVALUATE: EvaluateSpec}
_FILE_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def jobs_of(experiment: Experiment, settings: Settings) -> Iterator[Object]:
    """Every Job that the operator makes of an experiment, each of its stages' first attempt."""
    document = accept(experiment, UID, settings.images.trainer)
    store = settings.store(experiment.spec.store.name, document.namespace)
    assert store is not None
    texts, queue = document.texts(), experiment.spec.queue_name
    for stage in document.stages.values():
        attempt = Attempt(
            stage=Reference(Resource.STAGE, document.namespace, stage.name, UID),
            kind=stage.kind,
            text=texts[stage.key],
            number=1,
            payer=document.name,
            placement=placement(experiment.spec, stage.kind, document.models(stage)),
            queue=queue,
        )
        yield stage_job(attempt, store, settings)
    owner = Reference(Resource.EXPERIMENT, document.namespace, document.name, UID)
    plan = config_map(document, UID)["metadata"]["name"]
    outputs = {stage.key: "d" * 64 for stage in document.of_kind(Kind.EVALUATE)}
    yield lookup_job(owner, plan, document, store, settings, queue)
    trainings = [stage.key for stage in document.of_kind(Kind.TRAIN)]
    for drops in ((), trainings):
        yield report_job(owner, plan, outputs, "2026-01-31T08:00:00Z", store, settings, queue, drops=drops)


def breaches(job: Object, experiment: Experiment, settings: Settings) -> Iterator[str]:
    """What breaks the promise in a Job that was made of the experiment."""
    namespace = experiment.metadata.namespace or ""
    store = settings.store(experiment.spec.store.name, namespace)
    assert store is not None
    template = job["spec"]["template"]
    pod = template["spec"]
    try:
        assert_restricted(pod)
    except (AssertionError, KeyError) as error:
        yield f"restricted: {error}"
    yield from _of_the_pod(pod, experiment.spec.resources, settings)
    (container,) = pod["containers"]
    yield from _of_the_container(container, namespace, store, settings)
    stage = job["metadata"]["labels"].get("xstilts.dev/stage", "")
    for volume in pod["volumes"]:
        if not _is_harmless(volume, store, namespace, stage):
            yield f"volume {volume}"
    if job["metadata"]["namespace"] != namespace:
        yield f"namespace {job['metadata']['namespace']}"
    if text := template["metadata"].get("annotations", {}).get(STAGE_ANNOTATION):
        yield from _of_the_stage(Stage.model_validate_json(text))


def skeleton(job: Object) -> str:
    """A pod without what an author may set, names and numbers: few of these are all that there are."""
    pod = {name: value for name, value in job["spec"]["template"]["spec"].items() if name not in PLACEMENT}
    (container,) = pod["containers"]
    pod["containers"] = [{name: value for name, value in container.items() if name != "resources"}]
    text = json.dumps(pod, sort_keys=True)
    metadata = job["metadata"]
    plan = metadata["labels"].get("xstilts.dev/plan")
    for name in filter(None, (metadata["labels"].get("xstilts.dev/stage"), plan)):
        text = text.replace(name, "NAME")
    text = text.replace(f"namespaces/{metadata['namespace']}/", "namespaces/NAMESPACE/")
    text = re.sub(r'("XSTILTS_NAMESPACE", "value": )"[^"]*"', r"\1NAMESPACE", text)
    text = re.sub(r"(NAME-1-0\.NAME-1)\.[a-z0-9-]+\.svc", r"\1.NAMESPACE.svc", text)
    return re.sub(r'"[0-9]+"', '"NUMBER"', text)


def _of_the_pod(pod: Object, asked: Resources, settings: Settings) -> Iterator[str]:
    if pod["serviceAccountName"] != settings.pods.service_account:
        yield f"account {pod['serviceAccountName']}"
    if pod["automountServiceAccountToken"] is not False or pod["enableServiceLinks"] is not False:
        yield "a token, or the namespace's services in its environment"
    if "nodeName" in pod or "affinity" in pod or pod.get("hostAliases"):
        yield "a node"
    selector = dict(asked.node_selector)
    if not pod.get("nodeSelector", {}).items() <= selector.items():
        yield f"node selector {pod['nodeSelector']}"
    if len(pod.get("tolerations", ())) > len(asked.tolerations):
        yield f"tolerations {pod['tolerations']}"
    for field, value in (
        ("priorityClassName", asked.priority_class_name),
        ("runtimeClassName", asked.runtime_class_name),
    ):
        if pod.get(field) not in (None, value):
            yield f"{field} {pod[field]}"


def _of_the_container(
    container: Object, namespace: str, store: StoreSettings, settings: Settings
) -> Iterator[str]:
    image = settings.images.trainer if container["name"] == "stage" else settings.images.operator
    if container["image"] != image:
        yield f"image {container['image']}"
    if container["command"] not in COMMANDS[container["name"]]:
        yield f"command {container['command']}"
    if beside := {"args", "lifecycle", "livenessProbe", "ports", "workingDir"} & container.keys():
        yield f"beside its command: {sorted(beside)}"
    if container["securityContext"].get("readOnlyRootFilesystem") is not True:
        yield "a root file system that can be written"
    for mount in container["volumeMounts"]:
        if mount["mountPath"] not in (READ | WRITTEN if mount.get("readOnly") else WRITTEN):
            yield f"mount {mount}"
    yield from _of_the_environment(container, namespace, store, settings)


def _of_the_environment(
    container: Object, namespace: str, store: StoreSettings, settings: Settings
) -> Iterator[str]:
    values = {one["name"]: one.get("value") for one in container["env"]}
    if len(values) != len(container["env"]) or not values.keys() <= VARIABLES:
        yield f"variables {sorted(values)}"
    if (values["XSTILTS_STORE"], values["XSTILTS_NAMESPACE"]) != (store.root, namespace):
        yield f"store {values['XSTILTS_STORE']} {values['XSTILTS_NAMESPACE']}"
    if any("$(" in (value or "") for value in values.values()):  # Kubernetes would put another variable there
        yield f"a reference in {values}"
    for one in container["env"]:
        source = one.get("valueFrom", {"fieldRef": {}})
        secret = source.get("secretKeyRef", {}).get("name")
        if not source.keys() <= {"fieldRef", "secretKeyRef"} or secret not in (
            None,
            settings.hub.token_secret,
        ):
            yield f"variable {one}"
    if container.get("envFrom", []) != ([{"secretRef": {"name": store.secret}}] if store.secret else []):
        yield f"variables from {container['envFrom']}"


def _is_harmless(volume: Mapping[str, Any], store: StoreSettings, namespace: str, stage: str) -> bool:
    match volume:
        case {"emptyDir": _} | {"downwardAPI": _}:
            return True
        case {"configMap": {"name": str(name)}}:
            return "-plan-" in name
        case {"persistentVolumeClaim": {"claimName": claim}}:
            return bool(claim == store.claim)
        case {"projected": {"sources": [{"serviceAccountToken": token}, {"configMap": bundle}]}}:
            return bool(token["audience"] == audience(namespace, stage) and bundle["name"] == CA_CONFIG_MAP)
    return False


def _of_the_stage(stage: Stage) -> Iterator[str]:
    """Names in the stage that become parts of paths lead below `<root>/<namespace>/` alone."""
    folders = [layout.artifact(key) for key in stage.parents.values()]
    if reader := READERS.get(stage.kind):
        spec = reader.model_validate(stage.spec)
        folders += [
            f"{layout.INPUTS}/{layout.input_name(one.name)}"
            if is_unpinned(one.digest)
            else layout.input_folder(one.name, one.digest)
            for one in spec.inputs.values()
        ]
        for data in spec.data:
            parts = (data.split, data.task.name, *data.languages)
            if not all(map(_FILE_PART.fullmatch, parts)):
                yield f"a part of a file's name in {parts}"
    for folder in folders:
        if PurePosixPath(folder).is_absolute() or ".." in folder.split("/"):
            yield f"folder {folder}"
