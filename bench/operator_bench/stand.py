"""The control plane that everything is measured on, and how much of the processor each of its programs takes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.operator_bench.bodies import HELD, Object

from controlplane.api import Api, connect
from controlplane.build import share
from controlplane.nodes import fake_node
from controlplane.plane import ControlPlane

_ROOT: Final = Path(__file__).resolve().parents[2]
_NODES: Final = 10
_KWOK_NODE: Final = {"kwok.x-k8s.io/node": "fake"}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Stand:
    """A control plane with fake nodes, an administrator's client of it, a folder for files, and who hears of progress."""

    plane: ControlPlane
    api: Api
    folder: Path
    say: Callable[[str], None]

    async def namespace(self, name: str) -> str:
        """Make a namespace; returns its name."""
        body: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.api.create("/api/v1/namespaces", body)
        return name

    def processor_seconds(self) -> dict[str, float]:
        """What each program of the control plane has taken of the processors so far."""
        plane = self.plane
        daemons = [plane.etcd, plane.apiserver, plane.controller_manager, *plane.others]
        return {daemon.name: processor_seconds(daemon.pid) for daemon in daemons if daemon.running}


@asynccontextmanager
async def standing(folder: Path, say: Callable[[str], None]) -> AsyncIterator[Stand]:
    """Start etcd, API server, controller manager, scheduler and kwok, with the project's CRDs and ten nodes."""
    place = folder / "plane"
    place.mkdir()
    stages = share("kwok") / "stage"
    with ControlPlane(place) as plane:
        plane.apply_crds(*sorted((_ROOT / "crds").glob("*.yaml")))
        plane.start_scheduler()
        plane.start_kwok(
            stages=(
                "node/fast",
                "node/heartbeat-with-lease",
                stages / "pod/fast/pod-ready.yaml",
                stages / "pod/fast/pod-delete.yaml",
                Path(__file__).with_name("pods.yaml"),
            )
        )
        plane.create(*(_node(index) for index in range(_NODES)))
        async with connect(plane.kubeconfig) as api:
            yield Stand(plane, api, folder, say)


def processor_seconds(process: int) -> float:
    """What a process has taken of the processors so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS  # utime and stime: the 14th and 15th of proc(5)


def memory_megabytes(process: int, field: str = "VmRSS") -> float:
    """The resident memory of a process, in MB (10^6 bytes); VmHWM: the most that it was."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no {field} of process {process}")


def _node(index: int) -> Object:
    node = fake_node(f"kwok-{index}", annotations=_KWOK_NODE)
    node["metadata"]["labels"] |= HELD
    return node
