"""The node from its first process to its last: what is started after what, and stopped before what."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable

from controlplane.cluster import Cluster
from controlplane.daemon import Daemon
from node import containerd, dns, kubelet, leftovers, network, place
from node.commands import NodeError
from node.plane import NodePlane

Say = Callable[[str], None]


def cluster() -> Cluster:
    """The cluster that runs.

    Raises:
        NodeError: none does.
    """
    record = place.Record.read()
    if not (record and record.alive and place.KUBECONFIG.exists()):
        raise NodeError("no cluster runs here: make cluster")
    return Cluster(place.KUBECONFIG, place.CURRENT)


class Single:
    """One node and its control plane, all children of this process."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._daemons: list[Daemon] = []
        self._plane: NodePlane | None = None

    def start(self) -> None:
        """Start everything; returns when the node is ready and names are resolved. Then the kubeconfig is there.

        Raises:
            DaemonError: a server ended, or was not ready in time.
            RuntimeError: kubectl's, where the node or CoreDNS was not ready in time.
        """
        leftovers.remove()
        shutil.rmtree(place.CURRENT, ignore_errors=True)
        for folder in (place.PLANE, place.LOGS, place.KUBELET, place.POD_LOGS, place.VOLUMES):
            folder.mkdir(parents=True)
        place.own_record(network.sysctls()).write()
        network.start()
        runtime = self._started(containerd.daemon())
        containerd.wait_until_ready(runtime)
        containerd.import_own_images()
        self._say("containerd runs")
        plane = self._plane = NodePlane(place.PLANE)
        plane.start()
        plane.start_scheduler()
        self._say("the control plane runs")
        self._started(kubelet.kubelet(plane))
        self._started(kubelet.kube_proxy(plane))
        _wait_for(plane, f"node/{place.NAME}", "--for=condition=Ready")
        self._say("the node is ready")
        plane.apply(*dns.manifests())
        _wait_for(plane, "deployment/coredns", "--for=condition=Available", "-n", "kube-system")
        self._say("names are resolved")
        draft = place.KUBECONFIG.with_suffix(".draft")
        shutil.copy(plane.kubeconfig, draft)
        draft.rename(place.KUBECONFIG)

    def watch(self) -> None:
        """Return when a server ends by itself; else never.

        Raises:
            DaemonError: it did; says the last lines of its log.
        """
        assert self._plane
        plane = [self._plane.etcd, self._plane.apiserver, self._plane.controller_manager, *self._plane.others]
        while True:
            for daemon in (*self._daemons, *plane):
                if not daemon.running:
                    raise daemon.failure("ended")
            time.sleep(1)

    def stop(self) -> None:
        """Delete every pod, stop everything, and leave the machine as it was."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._plane and self._plane.apiserver.running:
            self._delete_pods(self._plane)
        for daemon in reversed(self._daemons):
            daemon.stop()
        if self._plane:
            self._plane.stop()
        leftovers.remove()

    def _delete_pods(self, plane: NodePlane, within_s: float = 30) -> None:
        """Have the kubelet take pods down, with their volumes and addresses, while nothing makes new ones."""
        plane.controller_manager.stop(kill=True)
        for other in plane.others:
            other.stop(kill=True)
        try:
            plane.kubectl("delete", "pods", "--all", "--all-namespaces", "--grace-period=1", "--wait=false")
        except RuntimeError as error:
            self._say(str(error))
        end = time.monotonic() + within_s
        while containerd.running_tasks() and time.monotonic() < end:
            time.sleep(0.5)

    def _started(self, daemon: Daemon) -> Daemon:
        self._daemons.append(daemon)
        daemon.start()
        return daemon


def _wait_for(plane: NodePlane, what: str, *condition: str, within_s: float = 300) -> None:
    """Wait until there is such an object and the condition holds."""
    end = time.monotonic() + within_s
    while True:
        try:
            plane.kubectl("wait", what, *condition, f"--timeout={within_s:.0f}s")
        except RuntimeError as error:
            if "NotFound" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return
