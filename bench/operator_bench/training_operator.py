"""Kubeflow's training-operator v1.8.1 outside a cluster."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from bench.operator_bench.bodies import Object
from bench.operator_bench.stand import Stand

from controlplane.build import command, share
from controlplane.daemon import Daemon, free_ports

THREADS: Final = 10
_NAMESPACE: Final = "kubeflow"
_SECRET: Final = "training-operator-webhook-cert"
_CERTIFICATES: Final = Path("/tmp/k8s-webhook-server/serving-certs")  # noqa: S108 - it reads no other place
_READY_SECONDS: Final = 120.0


@asynccontextmanager
async def training_operator(stand: Stand) -> AsyncIterator[Daemon]:
    """A training-operator that reconciles PyTorchJobs."""
    plane = stand.plane
    plane.apply_crds(share("training-operator") / "crds" / "kubeflow.org_pytorchjobs.yaml")
    plane.create(*_prerequisites())
    health, metrics, webhook = free_ports(3)
    daemon = Daemon(
        [
            command("training-operator"),
            f"--kubeconfig={plane.kubeconfig}",
            "--enable-scheme=pytorchjob",
            f"--controller-threads={THREADS}",
            f"--health-probe-bind-address=127.0.0.1:{health}",
            f"--metrics-bind-address=127.0.0.1:{metrics}",
            f"--webhook-server-port={webhook}",
        ],
        log=stand.folder / "training-operator.log",
    )
    daemon.start()
    try:
        # It fills the Secret, which a cluster would mount into its pod, and takes it up at its next start.
        await _take_certificates(stand, daemon)
        daemon.stop()
        daemon.start()
        await _wait_until_ready(daemon, health)
        yield daemon
    finally:
        daemon.stop()


async def _take_certificates(stand: Stand, daemon: Daemon) -> None:
    end = time.monotonic() + _READY_SECONDS
    path = f"/api/v1/namespaces/{_NAMESPACE}/secrets/{_SECRET}"
    while not (data := (await stand.api.get(path)).get("data")):
        if not daemon.running or time.monotonic() > end:
            raise daemon.failure("has made no certificates")
        await asyncio.sleep(0.2)
    _CERTIFICATES.mkdir(parents=True, exist_ok=True)
    for name in ("tls.crt", "tls.key"):
        (_CERTIFICATES / name).write_bytes(base64.b64decode(data[name]))


async def _wait_until_ready(daemon: Daemon, port: int) -> None:
    end = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if not daemon.running or time.monotonic() > end:
                raise daemon.failure("is not ready")
            await asyncio.sleep(0.2)


def _prerequisites() -> tuple[Object, ...]:
    """What its manifests would make; the webhook matches nothing, as the API server could not reach it."""
    webhook: dict[str, Any] = {
        "name": "validator.pytorchjob.training-operator.kubeflow.org",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",
        "clientConfig": {"url": "https://127.0.0.1:1/none"},
        "rules": [
            {
                "apiGroups": ["none.kubeflow.org"],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["none"],
            }
        ],
    }
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET, "namespace": _NAMESPACE}},
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "validator.training-operator.kubeflow.org"},
            "webhooks": [webhook],
        },
    )
