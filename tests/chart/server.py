"""A control plane with an audit log on which Helm has installed the chart, and the operator with the chart's rights alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chart.rendering import HELM_4, NAME, NAMESPACE, STORES, Object, helm
from controlplane.daemon import free_ports
from controlplane.operating import make_claim, variables
from controlplane.plane import ControlPlane

TEAM = "team-a"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"


class Audited(ControlPlane):
    """A control plane whose API server writes down every request of the operator's account, at its end."""

    def _apiserver_argv(self) -> list[str | Path]:
        rules = [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}]
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": rules,
        }
        file = self.folder / "audit-policy.json"
        file.write_text(json.dumps(policy))
        return [
            *super()._apiserver_argv(),
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",  # as OpenShift has it
            f"--audit-policy-file={file}",
            f"--audit-log-path={self.audit_log}",
        ]

    @property
    def audit_log(self) -> Path:
        """A JSON object a line."""
        return self.folder / "audit.log"

    def requests(self) -> list[Object]:
        """The requests of the operator's account."""
        return [json.loads(line) for line in self.audit_log.read_text().splitlines()]


def grants_used(requests: Iterable[Object], granted: AbstractSet[tuple[str, str]]) -> set[tuple[str, str]]:
    """The grants that requests needed, as a Role says them: [group]/resource[/name where the grant has one], and the verb.

    A request that none of `granted` allows is there too, under its object's name.
    """
    found = set()
    for request in requests:
        if (about := request.get("objectRef")) is None:
            continue  # discovery and the keys, which every account may read
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        anything = f"{about.get('apiGroup', '')}/{resource}"
        named = f"{anything}/{about.get('name', '')}"
        wider, verb = (anything, request["verb"]), request["verb"]
        found.add(wider if wider in granted else (named, verb))
    return found


def values(**more: Any) -> str:
    """Of one team's namespace, with the second layer in force."""
    said = {"scope": {"namespaces": [TEAM]}, "stores": STORES, "admissionPolicy": {"enabled": True}}
    return json.dumps({**said, **more})


def on_server(plane: Audited, *arguments: str | Path, stdin: str | None = None, program: str = HELM_4) -> str:
    """Helm as an administrator of the cluster, with folders of its own."""
    folders = {f"HELM_{what}_HOME": str(plane.folder / "helm") for what in ("CACHE", "CONFIG", "DATA")}
    return helm(
        *arguments,
        "--namespace",
        NAMESPACE,
        "--kubeconfig",
        plane.kubeconfig,
        stdin=stdin,
        environment=folders,
        program=program,
    )


@asynccontextmanager
async def operating(plane: Audited, folder: Path) -> AsyncIterator[None]:
    """The operator with the chart's settings and the chart's account."""
    config_map = json.loads(plane.kubectl("get", "configmap", NAME, "-n", NAMESPACE, "-o", "json"))
    (folder / "settings.yaml").write_text(config_map["data"]["settings.yaml"])
    make_claim(plane, TEAM)
    health, metrics, progress = free_ports(3)
    environment = os.environ | variables(
        kubeconfig=plane.service_account_kubeconfig(NAMESPACE, NAME),
        settings=folder / "settings.yaml",
        lease=NAMESPACE,
        health=health,
        metrics=metrics,
        progress=progress,
    )
    environment["XSTILTS_LEASE"] = f"{NAME}-operator"
    with (folder / "operator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "xstilts_operator", env=environment, stdout=log, stderr=log
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
