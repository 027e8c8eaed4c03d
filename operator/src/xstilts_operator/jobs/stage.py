"""The Job of one attempt of a stage: `python -m xstilts_trainer STAGE.json` on the payer's placement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from xstilts.plan.placement import in_bytes
from xstilts.spec import Resources
from xstilts.stage import Kind
from xstilts_operator.actions import Object, Reference
from xstilts_operator.jobs.allowlist import allowed
from xstilts_operator.jobs.job import job
from xstilts_operator.jobs.pod import (
    Container,
    Volume,
    annotation_file,
    completion_index,
    pod_template,
    toleration,
)
from xstilts_operator.names import (
    ATTEMPT_LABEL,
    EXPERIMENT_LABEL,
    KIND_LABEL,
    MANAGED_BY,
    MANAGER,
    STAGE_ANNOTATION,
    STAGE_LABEL,
    job_name,
)
from xstilts_operator.progress import protocol
from xstilts_operator.settings import HubSettings, Settings, StoreSettings

CONTAINER: Final = "stage"
STAGE_FOLDER: Final = "/etc/xstilts"
STAGE_FILE: Final = "STAGE.json"
PROGRESS_FOLDER: Final = "/var/run/secrets/xstilts.dev/progress"


@dataclass(frozen=True)
class Attempt:
    """One attempt of a stage.

    Attributes:
        stage: the TransferStage, with its UID.
        kind: what it does.
        text: the stage as canonical JSON.
        number: the attempt's, from 1.
        payer: the name of the experiment whose need made it.
        placement: what it is given; what the administrator does not allow is left out.
        queue: the payer's Kueue queue.
    """

    stage: Reference
    kind: Kind
    text: str
    number: int
    payer: str
    placement: Resources
    queue: str | None = None

    @property
    def name(self) -> str:
        """The name of its Job, and of the Service of its pods."""
        return job_name(self.stage.name, self.number)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that is made for it."""
        return {
            MANAGED_BY: MANAGER,
            KIND_LABEL: self.kind.value,
            STAGE_LABEL: self.stage.name,
            ATTEMPT_LABEL: str(self.number),
            EXPERIMENT_LABEL: self.payer,
        }


def stage_job(attempt: Attempt, store: StoreSettings, settings: Settings) -> Object:
    """The Job of an attempt; with several nodes it needs the Service of `jobs.service` too."""
    resources = allowed(attempt.placement, settings.pods.placement)
    memory = resources.memory or settings.pods.default_memory
    namespace = attempt.stage.namespace
    environment: dict[str, str | Object] = {
        "XSTILTS_ATTEMPT": str(attempt.number),
        "OMP_NUM_THREADS": str(resources.cpu),
    }
    volumes = [
        annotation_file("stage", STAGE_FOLDER, STAGE_FILE, STAGE_ANNOTATION),
        _shared_memory(memory),
    ]
    if resources.gpus == 0:
        # a CUDA image asks the container runtime for every GPU of the node, unless told otherwise
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    if attempt.kind is Kind.TRAIN:
        environment["XSTILTS_RANKS_PER_NODE"] = str(max(1, resources.gpus))
    if attempt.kind is Kind.PREPARE:
        environment |= _hub(settings.hub)
    if resources.nodes > 1:
        environment |= {
            "XSTILTS_NODES": str(resources.nodes),
            "XSTILTS_NODE_RANK": completion_index(),
            "XSTILTS_MASTER": f"{attempt.name}-0.{attempt.name}.{namespace}.svc",
        }
    if settings.progress.address is not None:
        environment |= {
            protocol.URL_VARIABLE: protocol.url(settings.progress.address, namespace, attempt.stage.name),
            protocol.CA_VARIABLE: f"{PROGRESS_FOLDER}/{protocol.CA_KEY}",
            protocol.TOKEN_VARIABLE: f"{PROGRESS_FOLDER}/token",
        }
        volumes.append(_progress(namespace, attempt.stage.name))
    template = pod_template(
        Container(
            name=CONTAINER,
            image=settings.images.trainer,
            command=("python", "-m", "xstilts_trainer", f"{STAGE_FOLDER}/{STAGE_FILE}"),
            environment=environment,
            cpu=resources.cpu,
            memory=memory,
            gpus=resources.gpus,
        ),
        namespace=namespace,
        store=store,
        pods=settings.pods,
        images=settings.images,
        labels=attempt.labels,
        annotations={STAGE_ANNOTATION: attempt.text},
        volumes=volumes,
        extra={**_scheduling(resources), **({"subdomain": attempt.name} if resources.nodes > 1 else {})},
    )
    return job(
        attempt.stage,
        attempt.name,
        attempt.labels,
        template,
        pods=resources.nodes if resources.nodes > 1 else None,
        parallel=resources.nodes,
        ttl_seconds=settings.pods.job_ttl_seconds,
        queue=attempt.queue,
    )


def _scheduling(resources: Resources) -> dict[str, Any]:
    """The pod fields that an experiment may set."""
    said = {
        "nodeSelector": dict(resources.node_selector),
        "tolerations": [toleration(one) for one in resources.tolerations],
        "priorityClassName": resources.priority_class_name,
        "runtimeClassName": resources.runtime_class_name,
    }
    return {name: value for name, value in said.items() if value}


def _shared_memory(memory: str) -> Volume:
    """What processes of one pod share; it counts as the pod's memory, so it gets half of that."""
    half = max(1, in_bytes(memory) // 2)
    source = {"emptyDir": {"medium": "Memory", "sizeLimit": str(half)}}
    return Volume("shared-memory", "/dev/shm", source, read_only=False)  # noqa: S108 - mounted over


def _progress(namespace: str, stage: str) -> Volume:
    """The token for this stage's progress and nothing else, and what the server is verified by."""
    token = {
        "audience": protocol.audience(namespace, stage),
        "expirationSeconds": protocol.TOKEN_SECONDS,
        "path": "token",
    }
    bundle = {
        "name": protocol.CA_CONFIG_MAP,
        "optional": True,
        "items": [{"key": protocol.CA_KEY, "path": protocol.CA_KEY}],
    }
    sources = [{"serviceAccountToken": token}, {"configMap": bundle}]
    return Volume("progress", PROGRESS_FOLDER, {"projected": {"sources": sources}})


def _hub(hub: HubSettings) -> dict[str, str | Object]:
    """The hub's address and token: preparations alone speak to it."""
    environment: dict[str, str | Object] = {}
    if hub.endpoint is not None:
        environment["HF_ENDPOINT"] = hub.endpoint
    if hub.token_secret is not None:
        key = {"name": hub.token_secret, "key": hub.token_key, "optional": True}
        environment["HF_TOKEN"] = {"secretKeyRef": key}
    return environment
