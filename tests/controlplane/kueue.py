"""Kueue's manager, out of a cluster, beside a test control plane; and the queues that tests ask it for.

The manager manages its own certificates, as in a cluster: it makes them, keeps them in a Secret and tells the API server
about them. Two things a cluster would do are done here: the Secret's files are put where they would be mounted, and the
Service that its webhooks are reached by leads to the loopback.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from controlplane.build import command, share
from controlplane.daemon import Daemon, DaemonError, free_ports
from controlplane.plane import ControlPlane

NAMESPACE = "kueue-system"
API_VERSION = "kueue.x-k8s.io/v1beta2"
GPU = "nvidia.com/gpu"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
FLAVOR = "default"
POOL = {"pool": "research"}  # labels of the flavor's nodes: Kueue writes them into what it admits
_SERVICE = "kueue-webhook-service"
_SECRET = "kueue-webhook-server-cert"
_CONVERTED = ("clusterqueues", "cohorts", "localqueues", "multikueueclusters", "workloads")
_GROUPS = {"kueue.x-k8s.io", "batch"}  # its webhooks are asked about these: nothing else is managed here
_WITHIN_S = 180


class Kueue:
    """Kueue on a control plane whose `batch/v1` Jobs it manages, from the beginning of the `with` block to its end.

    Its CRDs and webhooks are installed then, and stay: while it is stopped, the API server takes no Job.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._folder = plane.folder / "kueue"
        self._certificates = self._folder / "certificates"
        self._webhook, self._health = free_ports(2)
        self._configuration = self._folder / "configuration.yaml"
        self._daemon = Daemon(
            [command("kueue"), f"--config={self._configuration}", f"--kubeconfig={plane.kubeconfig}"],
            log=self._folder / "kueue.log",
        )

    def start(self, *, manage_all: bool = False) -> None:
        """Start it (again); returns when its webhooks answer.

        Args:
            manage_all: Kueue's `manageJobsWithoutQueueName`.

        Raises:
            DaemonError: it ended, or was not ready in time; says the last lines of its log.
        """
        self._configuration.write_text(yaml.safe_dump(self._said(manage_all=manage_all)))
        self._daemon.start()
        self._wait("made no certificate", self._mount)
        self._wait("was not ready", self._ready)
        flavor = {
            "apiVersion": API_VERSION,
            "kind": "ResourceFlavor",
            "metadata": {"name": FLAVOR},
            "spec": {"nodeLabels": POOL},
        }
        self._wait("did not answer as a webhook", lambda: self._applied(flavor))

    def stop(self) -> None:
        """Stop it; what it has installed stays."""
        self._daemon.stop()

    def __enter__(self) -> Self:
        """Install and start it."""
        self._certificates.mkdir(parents=True)
        self._install()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _said(self, *, manage_all: bool) -> Mapping[str, Any]:
        return {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": NAMESPACE,
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": "127.0.0.1", "port": self._webhook, "certDir": str(self._certificates)},
            "leaderElection": {"leaderElect": False},
            "manageJobsWithoutQueueName": manage_all,
            "integrations": {"frameworks": ["batch/job"]},
            "featureGates": {"VisibilityOnDemand": False},
            "clientConnection": {"qps": 1000, "burst": 2000},
        }

    def _install(self) -> None:
        """What Kueue's own kustomization makes of its manifests, for the kinds that are managed here."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET, "namespace": NAMESPACE}}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _SERVICE, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        self._plane.apply(namespace, secret, service, *map(self._webhooks, self._manifests("webhooks")))
        self._plane.apply_crds(*map(self._crd, self._manifests("crds")))

    @staticmethod
    def _manifests(folder: str) -> list[dict[str, Any]]:
        files = sorted((share("kueue") / folder).glob("*.yaml"))
        found = [each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
        kinds = ("CustomResourceDefinition", "WebhookConfiguration")
        return [each for each in found if str(each.get("kind", "")).endswith(kinds)]

    def _webhooks(self, configuration: dict[str, Any]) -> dict[str, Any]:
        configuration["metadata"]["name"] = f"kueue-{configuration['metadata']['name']}"
        asked = [
            webhook
            for webhook in configuration["webhooks"]
            if _GROUPS.issuperset(group for rule in webhook["rules"] for group in rule["apiGroups"])
        ]
        for webhook in asked:
            webhook["clientConfig"] = self._client(webhook["clientConfig"]["service"]["path"])
        return {**configuration, "webhooks": asked}

    def _crd(self, crd: dict[str, Any]) -> Path:
        if crd["spec"]["names"]["plural"] in _CONVERTED:
            webhook = {"clientConfig": self._client("/convert"), "conversionReviewVersions": ["v1"]}
            crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        path = self._folder / f"{crd['metadata']['name']}.json"
        path.write_text(json.dumps(crd), encoding="utf-8")
        return path

    def _client(self, path: str) -> dict[str, Any]:
        service = {"namespace": NAMESPACE, "name": _SERVICE, "path": path, "port": self._webhook}
        return {"service": service}

    def _mount(self) -> bool:
        """Put the Secret's files where the manager waits for them: it looks for the certificate, so that is last."""
        read = self._plane.kubectl("get", "secret", _SECRET, "-n", NAMESPACE, "-o", "json")
        held: dict[str, str] = json.loads(read).get("data") or {}
        if "tls.crt" not in held:
            return False
        for name in ("tls.key", "tls.crt"):
            written = self._folder / name
            written.touch(mode=0o600)
            written.write_bytes(base64.b64decode(held[name]))
            written.rename(self._certificates / name)
        return True

    def _ready(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://127.0.0.1:{self._health}/readyz", timeout=5):
                return True
        except urllib.error.URLError:  # refused, or 404 and 500 (HTTPError is one) while it starts
            return False

    def _applied(self, body: Mapping[str, Any]) -> bool:
        try:
            self._plane.apply(body)
        except RuntimeError:
            return False
        return True

    def _wait(self, failure: str, check: Callable[[], bool]) -> None:
        end = time.monotonic() + _WITHIN_S
        while not check():
            if not self._daemon.running or time.monotonic() > end:
                raise self._failure(failure)
            time.sleep(0.1)

    def _failure(self, what: str) -> DaemonError:
        return self._daemon.failure(what if self._daemon.running else "ended")


def cluster_queue(name: str, *, cpu: int = 100, gpus: int = 0) -> dict[str, Any]:
    """A ClusterQueue of every namespace, in which a workload of higher priority takes the place of others."""
    quota = {"cpu": str(cpu), "memory": "1Ti", GPU: str(gpus)}
    resources = [{"name": resource, "nominalQuota": amount} for resource, amount in quota.items()]
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [
                {"coveredResources": list(quota), "flavors": [{"name": FLAVOR, "resources": resources}]}
            ],
        },
    }


def local_queue(namespace: str, name: str, cluster_queue: str) -> dict[str, Any]:
    """A LocalQueue: a namespace's way into a ClusterQueue."""
    return {
        "apiVersion": API_VERSION,
        "kind": "LocalQueue",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterQueue": cluster_queue},
    }


def queued_job(namespace: str, name: str, queue: str, *, priority_class: str, gpus: int) -> dict[str, Any]:
    """A Job of somebody else's, of one pod that asks for GPUs. `priority_class` names a PriorityClass."""
    container = {
        "name": "work",
        "image": "registry.example/work:1",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {GPU: str(gpus)}},
    }
    pod = {"restartPolicy": "Never", "priorityClassName": priority_class, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": {QUEUE_LABEL: queue}},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"spec": pod}},
    }
