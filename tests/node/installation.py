"""The chart, installed on the node as an administrator would, with a store on the node's disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from chart.rendering import CHART, helm
from controlplane.cluster import Cluster
from node import place

RELEASE = "xstilts"
SYSTEM = "xstilts-system"
CLAIM = "experiments"
REPOSITORY = Path(__file__).resolve().parents[2]

# Two processors are few: the operator asks for none of them, so that two stages of one processor run at once.
VALUES: Mapping[str, Any] = {
    "stores": {"default": {"claim": CLAIM}},
    "pods": {"defaultMemory": "4Gi", "scratch": "5Gi"},
    "operator": {
        "resources": {"requests": {"cpu": 0, "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    },
}


class Installation:
    """A release in the namespace xstilts-system that serves `namespaces`, which are made with a store each."""

    def __init__(self, cluster: Cluster, namespaces: Sequence[str]) -> None:
        self.cluster = cluster
        self.namespaces = tuple(namespaces)

    def install(self) -> str:
        """Make the namespaces and their stores, and install the chart; returns when the operator is ready."""
        for name in (SYSTEM, *self.namespaces):
            self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name in self.namespaces:
            store(name).mkdir(parents=True, exist_ok=True)
            self.cluster.apply(*volume(name))
        return self.helm("install", RELEASE, CHART, "--wait", "--timeout=5m", values=self.values())

    def installed(self) -> bool:
        """Whether the release is there."""
        return RELEASE in self.helm("list", "--short").split()

    def values(self, **more: Any) -> dict[str, Any]:
        """What the release is installed with, and more."""
        return {**VALUES, "scope": {"namespaces": list(self.namespaces)}, **more}

    def helm(self, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Helm as an administrator of the cluster, with folders of its own."""
        folders = {f"HELM_{what}_HOME": str(place.CURRENT / "helm") for what in ("CACHE", "CONFIG", "DATA")}
        given = [] if values is None else ["--values", "-"]
        return helm(
            *arguments,
            *given,
            f"--namespace={SYSTEM}",
            f"--kubeconfig={self.cluster.kubeconfig}",
            stdin=None if values is None else json.dumps(values),
            environment=folders,
        )

    def get(self, *arguments: str) -> Any:
        """What `kubectl get ARGUMENTS` finds, as JSON."""
        return json.loads(self.cluster.kubectl("get", *arguments, "-o", "json"))

    def operator_pod(self) -> str:
        """The name of the operator's pod."""
        (pod,) = self.get("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/component=operator")["items"]
        return str(pod["metadata"]["name"])

    def metrics_address(self) -> str:
        """Where the operator's metrics are scraped: the Service's address, which this machine, being the node, reaches."""
        service = self.get("service", RELEASE, "-n", SYSTEM)["spec"]
        (port,) = (one["port"] for one in service["ports"] if one["name"] == "metrics")
        return f"{service['clusterIP']}:{port}"

    def remove(self) -> None:
        """Uninstall it and delete all that it had, experiments and what is in their stores too."""
        self.cluster.kubectl("delete", "transferexperiments", "--all", "--all-namespaces", "--wait=false")
        self.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")
        self.cluster.kubectl("delete", "namespace", SYSTEM, *self.namespaces, "--timeout=120s")
        volumes = [_volume_name(name) for name in self.namespaces]
        self.cluster.kubectl("delete", "persistentvolume", *volumes)
        crds = ("transferexperiments.xstilts.dev", "transferstages.xstilts.dev")
        self.cluster.kubectl("delete", "customresourcedefinition", *crds)
        for name in self.namespaces:
            shutil.rmtree(store(name))


def store(namespace: str) -> Path:
    """The folder that is a namespace's volume: the root of its store."""
    return place.VOLUMES / namespace


def put_inputs(file: Path, namespace: str) -> None:
    """Make the inputs that an experiment file names, and put them into the namespace's store."""
    code = (
        "import sys, demo; from xstilts.spec import parse_experiment as parse;"
        "sys.exit('\\n'.join(demo.put_inputs(parse(sys.stdin.read()))) or 0)"
    )
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["metadata"]["namespace"] = namespace
    subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(document),  # which quotes every string
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY / "scripts"),
            "XSTILTS_STORE": str(store(namespace)),
        },
    )


def outputs(root: Path) -> dict[str, str]:
    """Of every stage that lies in a store's folder of a namespace: its key -> the digest of what it has made."""
    found = {}
    for manifest in root.glob(f"{'[0-9a-f]' * 64}/manifest.json"):
        said = json.loads(manifest.read_text(encoding="utf-8"))
        if said["kind"] != "report":
            found[said["key"]] = said["outputsDigest"]
    return found


def _volume_name(namespace: str) -> str:
    return f"{namespace}-{CLAIM}"


def volume(namespace: str) -> list[dict[str, Any]]:
    """A volume that is a folder of the node (`local` and not `hostPath`: it gets the group that pods write as)."""
    size = {"storage": "20Gi"}
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [place.NAME]}
    volume = {
        **shared,
        "capacity": size,
        "local": {"path": str(store(namespace))},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        "claimRef": {"namespace": namespace, "name": CLAIM},
    }
    claim = {**shared, "resources": {"requests": size}, "volumeName": _volume_name(namespace)}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": _volume_name(namespace)},
            "spec": volume,
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": namespace},
            "spec": claim,
        },
    ]
