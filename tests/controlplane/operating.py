"""The operator as a process, for one namespace of a cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from controlplane.api import eventually
from controlplane.cluster import Cluster
from controlplane.daemon import free_ports

CLAIM = "experiments"
SETTINGS: Mapping[str, Any] = {
    "images": {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"},
    "stores": {"default": {"claim": CLAIM}},
}


def variables(
    *,
    kubeconfig: Path,
    settings: Path,
    lease: str,
    name: str = "operator-0",
    health: int,
    metrics: int,
    progress: int,
) -> dict[str, str]:
    """The environment of the operator's process: its files, the namespace of its Lease, its pod's name, and its ports."""
    return {
        "KUBECONFIG": str(kubeconfig),
        "XSTILTS_SETTINGS": str(settings),
        "XSTILTS_HEALTH_PORT": str(health),
        "XSTILTS_METRICS_PORT": str(metrics),
        "XSTILTS_PROGRESS_PORT": str(progress),
        "POD_NAMESPACE": lease,
        "POD_NAME": name,
    }


class Operator:
    """`python -m xstilts_operator`, with its files in `folder`.

    progress: it serves that on the loopback, where pods are told to report. name: its pod's, which no other of the same
    Lease may have. lease: the namespace of its Lease; else the one that it serves. kubeconfig: how it reaches the
    cluster, where that is not directly. settings: beside those that it needs. `metrics` and `reports` are the ports where
    it is scraped and takes reports of progress. Each namespace that it serves gets the volume claim of its store, if it has
    none.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        folder: Path,
        *,
        progress: bool = False,
        name: str = "operator-0",
        lease: str | None = None,
        kubeconfig: Path | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._cluster, self._folder = cluster, folder
        self._health, self.metrics, self.reports = free_ports(3)
        said = {**SETTINGS, "namespaces": [namespace], **(settings or {})}
        if progress:
            said["progress"] = {"address": f"https://127.0.0.1:{self.reports}"}
        self._claimless = list(said["namespaces"])
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump(said))
        self._environment = os.environ | variables(
            kubeconfig=kubeconfig or cluster.kubeconfig,
            settings=file,
            lease=lease or namespace,
            name=name,
            health=self._health,
            metrics=self.metrics,
            progress=self.reports,
        )
        self.process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        """What it wrote so far, over all its starts."""
        return (self._folder / "operator.log").read_text()

    async def start(self) -> None:
        """Start it (again); returns when it is ready."""
        await self.begin()
        await eventually(lambda: self.answers("readyz"), within_s=120)

    async def begin(self) -> None:
        """Start it (again), and wait for nothing."""
        while self._claimless:
            await asyncio.to_thread(make_claim, self._cluster, self._claimless.pop())
        with (self._folder / "operator.log").open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "xstilts_operator", env=self._environment, stdout=log, stderr=log
            )

    def send(self, which: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(which)

    async def stop(self, how: signal.Signals) -> int:
        """Send it a signal; its exit code."""
        self.send(how)
        assert self.process is not None
        return await self.process.wait()

    async def answers(self, path: str) -> bool:
        """Whether its health server says that all is well; an error if it has ended."""
        assert self.process is not None
        assert self.process.returncode is None, self.log
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self._health}/{path}") as response,
            ):
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def end(self) -> None:
        """Kill it where it runs."""
        if self.process is not None and self.process.returncode is None:
            await self.stop(signal.SIGKILL)


def make_claim(cluster: Cluster, namespace: str, name: str = CLAIM, mode: str = "ReadWriteMany") -> None:
    """Make a volume claim, unless it is there. It stays Pending: no test here has a volume of Kubernetes."""
    spec = {
        "accessModes": [mode],
        "storageClassName": "",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    try:
        cluster.create(claim)
    except RuntimeError as error:
        if "AlreadyExists" not in str(error):
            raise


@asynccontextmanager
async def operating(
    cluster: Cluster, namespace: str, folder: Path, **options: Any
) -> AsyncIterator[Operator]:
    """The operator (of the `options` of `Operator`), ready; it is killed at the end of the block."""
    operator = Operator(cluster, namespace, folder, **options)
    try:
        await operator.start()
        yield operator
    finally:
        await operator.end()
