"""The one pod template: every pod that the operator makes is made here, and passes the restricted standard.

Of what a person writes in an experiment only the placement reaches it, through the caller; image, account, store and
all else are the administrator's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xstilts.spec import Toleration
from xstilts_operator.actions import Object
from xstilts_operator.settings import STORE_MOUNT, ImageSettings, PodSettings, StoreSettings

GPU: Final = "nvidia.com/gpu"
HOME: Final = "/tmp"  # noqa: S108 - a volume of this pod alone: the only place that can be written, beside the store
_INDEX_ANNOTATION: Final = (
    "batch.kubernetes.io/job-completion-index"  # Kubernetes sets it on pods of Indexed Jobs
)


@dataclass(frozen=True)
class Volume:
    """A volume and where it is mounted, read-only. `source` is as Kubernetes has it: {kind: …}."""

    name: str
    path: str
    source: Object
    read_only: bool = True


@dataclass(frozen=True)
class Container:
    """What a pod's one container runs, on what.

    `environment` maps a name to its text, or to where Kubernetes takes it from. `memory` is request and limit, `cpu` a
    request.
    """

    name: str
    image: str
    command: Sequence[str]
    cpu: int
    memory: str
    environment: Mapping[str, str | Object] = field(default_factory=dict)
    gpus: int = 0


def pod_template(
    container: Container,
    *,
    namespace: str,
    store: StoreSettings,
    pods: PodSettings,
    images: ImageSettings,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    volumes: Sequence[Volume] = (),
    extra: Object | None = None,
) -> Object:
    """A Job's pod template.

    Args:
        container: what it runs.
        namespace: of the pod, and of what it may see in the store.
        store: mounted, or its access keys given as environment.
        pods: what the administrator says of all pods.
        images: how their images are got.
        labels: of the pods.
        annotations: of the pods.
        volumes: beside the store and the temporary files.
        extra: further fields of the pod's spec: placement, as far as an experiment may set it, and host names.
    """
    mounted = [
        Volume("scratch", HOME, {"emptyDir": {"sizeLimit": pods.scratch}}, read_only=False),
        *_store_volume(store),
        *volumes,
    ]
    environment = {
        **pods.environment,
        **container.environment,
        "XSTILTS_STORE": store.root,
        "XSTILTS_NAMESPACE": namespace,
        "HOME": HOME,
    }
    spec = {
        **(extra or {}),
        **_placed(extra or {}, pods),
        "restartPolicy": "Never",
        "serviceAccountName": pods.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pods.grace_seconds,
        "securityContext": _pod_security(pods),
        "containers": [_container(container, environment, mounted, store, images)],
        "volumes": [{"name": one.name, **one.source} for one in mounted],
    }
    if images.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in images.pull_secrets]
    metadata = {"labels": {**pods.labels, **labels}}
    if noted := {**pods.annotations, **(annotations or {})}:
        metadata["annotations"] = noted
    return {"metadata": metadata, "spec": spec}


def from_annotation(name: str) -> Object:
    """The value of a variable that Kubernetes takes from the pod's annotation of this name."""
    return {"fieldRef": {"fieldPath": f"metadata.annotations['{name}']"}}


def completion_index() -> Object:
    """The value of a variable that holds the pod's index in its Indexed Job."""
    return from_annotation(_INDEX_ANNOTATION)


def annotation_file(volume: str, folder: str, file: str, annotation: str) -> Volume:
    """An annotation of the pod as a file."""
    item = {"path": file, **from_annotation(annotation)}
    return Volume(volume, folder, {"downwardAPI": {"items": [item]}})


def _placed(extra: Object, pods: PodSettings) -> dict[str, Any]:
    """The nodes of a pod by what is asked for it, and before that by what the administrator says of all."""
    said = {
        "nodeSelector": {**extra.get("nodeSelector", {}), **pods.node_selector},
        "tolerations": [*extra.get("tolerations", ()), *map(toleration, pods.tolerations)],
    }
    return {name: value for name, value in said.items() if value}


def toleration(said: Toleration) -> Object:
    """A toleration as a pod has it."""
    return said.model_dump(mode="json", exclude_none=True)


def _container(
    container: Container,
    environment: Mapping[str, str | Object],
    volumes: Sequence[Volume],
    store: StoreSettings,
    images: ImageSettings,
) -> dict[str, Any]:
    limits: dict[str, str] = {"memory": container.memory}
    if container.gpus:
        limits[GPU] = str(container.gpus)
    body: dict[str, Any] = {
        "name": container.name,
        "image": container.image,
        "imagePullPolicy": images.pull_policy,
        "command": list(container.command),
        "env": [_variable(name, environment[name]) for name in sorted(environment)],
        "resources": {"requests": {"cpu": str(container.cpu), **limits}, "limits": limits},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": one.name, "mountPath": one.path, **({"readOnly": True} if one.read_only else {})}
            for one in volumes
        ],
    }
    if store.secret is not None:  # our own variables stand in `env`, which wins over it
        body["envFrom"] = [{"secretRef": {"name": store.secret}}]
    return body


def _variable(name: str, value: str | Object) -> dict[str, Any]:
    return {"name": name, "value": value} if isinstance(value, str) else {"name": name, "valueFrom": value}


def _store_volume(store: StoreSettings) -> list[Volume]:
    if store.claim is None:
        return []
    source = {"persistentVolumeClaim": {"claimName": store.claim}}
    return [Volume("store", STORE_MOUNT, source, read_only=False)]


def _pod_security(pods: PodSettings) -> dict[str, Any]:
    context: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if pods.user is not None:
        # the volume's files get our group once, not at every start: there may be a million
        context |= {
            "runAsUser": pods.user,
            "runAsGroup": pods.user,
            "fsGroup": pods.user,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    return context
