"""Where the node's files lie, and what it is called."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.build import cache

NAME = "xstilts"
BRIDGE = "xstilts0"
ADDRESS = "10.244.0.1"  # of the bridge, the node and the API server: nothing of the cluster listens elsewhere
PODS = "10.244.0.0/24"
DNS = "10.96.0.10"
API = "10.96.0.1"  # the Service `kubernetes` has the first address of the range

RUN = Path("/run/xstilts-node")  # sockets: their paths must be short
SOCKET = RUN / "containerd.sock"

HOME = cache() / "node"  # what is kept: images, and what they are built from
CONTAINERD = HOME / "containerd"
BUILDAH = HOME / "buildah"

CURRENT = HOME / "current"  # what goes when the cluster is stopped
PLANE = CURRENT / "plane"
KUBELET = CURRENT / "kubelet"
POD_LOGS = CURRENT / "pods"
CNI = CURRENT / "cni"
VOLUMES = CURRENT / "volumes"
LOGS = CURRENT / "logs"
KUBECONFIG = CURRENT / "kubeconfig"
LOG = HOME / "cluster.log"


@dataclass(frozen=True)
class Record:
    """What a running cluster has written down for the commands: its process, and what of the machine it has changed."""

    pid: int
    started: str  # of the process, in clock ticks: another process may get the same id
    sysctls: dict[str, str]

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return started(self.pid) == self.started

    def write(self) -> None:
        """Keep it."""
        (CURRENT / "record.json").write_text(json.dumps(self.__dict__), encoding="utf-8")

    @classmethod
    def read(cls) -> Record | None:
        """Of the cluster that was started last and not cleaned up yet."""
        try:
            said: dict[str, Any] = json.loads((CURRENT / "record.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(**said)


def started(pid: int) -> str | None:
    """When a process was started; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    state, *fields = stat.rpartition(") ")[2].split()
    return None if state == "Z" else fields[18]


def own_record(sysctls: dict[str, str]) -> Record:
    """Of this process."""
    pid = os.getpid()
    return Record(pid, started(pid) or "", sysctls)
