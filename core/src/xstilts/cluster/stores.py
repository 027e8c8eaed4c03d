"""The stores of the administrator's list, as who may read a namespace's ConfigMaps learns of them.

The chart writes the ConfigMap into each namespace that it serves: which image, which claim or address, which Secret. Nothing
in it is secret, and nothing that it names can be used without the rights to use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ConfigDict, Field

from xstilts.cluster import paths
from xstilts.cluster.client import Client, NotFoundError
from xstilts.errors import Problem, UserError
from xstilts.model import Model

CONFIG_MAP: Final = "xstilts-stores"
KEY: Final = "stores.yaml"
_USER: Final = 10001  # as the operator's settings have it where nothing else is said


class Published(Model):
    """One store of the ConfigMap."""

    model_config = ConfigDict(extra="ignore")  # a newer chart may say more

    claim: str | None = None
    url: str | None = None
    secret: str | None = None


class Stores(Model):
    """The ConfigMap's content: what a pod needs to reach each of a namespace's stores."""

    model_config = ConfigDict(extra="ignore")

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    user: int | None = _USER
    service_account: str = "default"
    scratch: str = "50Gi"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    stores: dict[str, Published] = Field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """How one store is reached by a pod: the same image, user and account as a lookup's."""

    store: Published
    pods: Stores


def reach(
    client: Client, namespace: str, name: str, *, claim: str | None = None, image: str | None = None
) -> Reach:
    """How a namespace's store of a name is reached; what is said of claim and image wins.

    Raises:
        UserError: nothing says how, or there is no such store.
    """
    pods = _published(client, namespace)
    if pods is None:
        if not claim or not image:
            problem = (
                f"must hold the ConfigMap {CONFIG_MAP}, which the operator's chart makes in each namespace that it serves, "
                "does not; ask who looks after the operator, or name the volume claim and the operator's image "
                "(--claim, --image)"
            )
            raise UserError(Problem(f"namespace {namespace}", problem))
        pods = Stores(image=image)
    pods = pods.model_copy(update={"image": image or pods.image})
    if claim:
        return Reach(Published(claim=claim), pods)
    if name not in pods.stores:
        known = ", ".join(sorted(pods.stores)) or "there is none"
        raise UserError(Problem("--store", f"must be a store of {namespace} ({known}), was {name!r}"))
    return Reach(pods.stores[name], pods)


def _published(client: Client, namespace: str) -> Stores | None:
    try:
        found = client.get(paths.core(namespace, "configmaps", CONFIG_MAP))
    except NotFoundError:
        return None
    try:
        return Stores.model_validate(yaml.safe_load((found.get("data") or {})[KEY]))
    except (KeyError, ValueError, yaml.YAMLError) as error:
        said = str(error).partition("\n")[0]
        problem = f"must be as the operator's chart makes it, is not: {said}"
        raise UserError(Problem(f"ConfigMap {namespace}/{CONFIG_MAP}", problem)) from None


def pod(reached: Reach, namespace: str, name: str, command: list[str], seconds: int) -> dict[str, Any]:
    """A pod that mounts the store and runs a command, for so many seconds at most; it passes the restricted standard."""
    store, pods = reached.store, reached.pods
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {"sizeLimit": pods.scratch}}]
    mounts = [{"name": "scratch", "mountPath": "/tmp"}]  # noqa: S108 - a volume of this pod alone
    root = store.url or "/store"
    if store.claim:
        volumes.append({"name": "store", "persistentVolumeClaim": {"claimName": store.claim}})
        mounts.append({"name": "store", "mountPath": root})
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if pods.user is not None:  # the volume's files have the group of the stages' pods
        security |= {
            "runAsUser": pods.user,
            "runAsGroup": pods.user,
            "fsGroup": pods.user,
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    container = {
        "name": "store",
        "image": pods.image,
        "imagePullPolicy": pods.pull_policy,
        "command": command,
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - as above
            {"name": "XSTILTS_NAMESPACE", "value": namespace},
            {"name": "XSTILTS_STORE", "value": root},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    if store.secret:
        container["envFrom"] = [{"secretRef": {"name": store.secret}}]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": seconds,
        "terminationGracePeriodSeconds": 5,
        "serviceAccountName": pods.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [container],
        "volumes": volumes,
        "nodeSelector": pods.node_selector,
        "tolerations": list(pods.tolerations),
    }
    if pods.pull_secrets:
        spec["imagePullSecrets"] = [{"name": one} for one in pods.pull_secrets]
    labels = {
        **pods.labels,
        "app.kubernetes.io/name": "xstilts",
        "app.kubernetes.io/component": "store-access",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": pods.annotations},
        "spec": spec,
    }
