"""The chart on a real API server: Helm installs it, and the operator works with the rights that it gives and no others.

The API server's audit log says what the operator has asked for, watches too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chart.grants import GRANTS, LEASE, needed
from chart.rendering import CHART, NAME, NAMESPACE, RELEASE, STORES, Object, helm
from controlplane.api import connect, eventually
from controlplane.build import TOOLS, build
from controlplane.daemon import free_ports
from controlplane.experiments import answering
from controlplane.operating import variables
from controlplane.plane import ControlPlane
from controlplane.player import playing
from operator_sim.schedules import experiment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("rendered"),
]

TEAM = "team-a"
EXPERIMENT = f"/apis/xstilts.dev/v1alpha1/namespaces/{TEAM}/transferexperiments/reference"
MAY_NOT = (
    ("get", "secrets"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("update", "transferexperiments"),
    ("patch", "transferexperiments"),
    ("delete", "transferstages"),
    ("deletecollection", "jobs"),
    ("delete", "configmaps"),
    ("patch", "configmaps/other"),
    ("create", "roles"),
    ("create", "serviceaccounts/token"),
    ("get", "leases"),
)


# What an experiment that runs undisturbed, on one node a stage, may not need: the rest of the grants it must use.
SELDOM = {
    ("xstilts.dev/transferexperiments", "get"),  # another wrote at the same time
    ("xstilts.dev/transferexperiments", "delete"),  # ttlSecondsAfterFinished
    ("xstilts.dev/transferstages", "patch"),  # a second experiment needs the same stage
    ("batch/jobs", "get"),  # the answer to a create was lost
    ("batch/jobs", "delete"),  # a stage is stopped
    ("/pods", "delete"),  # a pod is left over
    ("/services", "create"),  # several nodes
    ("/services", "get"),
    ("/events", "create"),  # an apply that makes one needs it, and is a patch in the log
    ("/configmaps", "get"),
}
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


def used(requests: Iterable[Object]) -> set[tuple[str, str]]:
    """What was asked for as a Role names it: [group]/resource[/name where the Role says one], and the verb."""
    named = {"leases", "configmaps"}
    found = set()
    for request in requests:
        if (about := request.get("objectRef")) is None:
            continue  # discovery and the keys, which every account may read
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        name = (about["name"],) if resource in named and request["verb"] in {"patch", "update", "get"} else ()
        found.add(("/".join((about.get("apiGroup", ""), resource, *name)), request["verb"]))
    return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """A control plane with the namespaces and nothing of ours."""
    build(TOOLS["hyperkube"])
    with Audited(tmp_path_factory.mktemp("plane")) as plane:
        for name in (NAMESPACE, TEAM):
            plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield plane


@pytest.fixture(scope="module")
def installed(plane: Audited) -> Audited:
    on_server(plane, "install", RELEASE, CHART, "--values", "-", stdin=values())
    return plane


def values(**more: Any) -> str:
    return json.dumps({"scope": {"namespaces": [TEAM]}, "stores": STORES, **more})


def on_server(plane: Audited, *arguments: str | Path, stdin: str | None = None) -> str:
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
    )


@asynccontextmanager
async def operating(plane: Audited, folder: Path) -> AsyncIterator[None]:
    """The operator with the chart's settings and the chart's account."""
    config_map = json.loads(plane.kubectl("get", "configmap", NAME, "-n", NAMESPACE, "-o", "json"))
    (folder / "settings.yaml").write_text(config_map["data"]["settings.yaml"])
    health, metrics, progress = free_ports(3)
    environment = os.environ | variables(
        kubeconfig=plane.service_account_kubeconfig(NAMESPACE, NAME),
        settings=folder / "settings.yaml",
        lease=NAMESPACE,
        health=health,
        metrics=metrics,
        progress=progress,
    )
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


async def test_an_experiment_succeeds_with_the_charts_rights_alone(
    installed: Audited, tmp_path: Path
) -> None:
    async with connect(installed.kubeconfig) as api:
        manifest = experiment("reference")
        manifest["metadata"]["namespace"] = TEAM
        await api.create(EXPERIMENT.rpartition("/")[0], manifest)

        async def succeeded() -> bool:
            found = await api.get(EXPERIMENT)
            said = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", ())}
            return said.get("Succeeded") == "True"

        async with operating(installed, tmp_path), playing(answering(api, TEAM)):
            await eventually(succeeded, within_s=300, every_s=0.5)
        requests = installed.requests()
        assert not [one for one in requests if one["responseStatus"]["code"] in {401, 403}]
        assert "orbidden" not in (tmp_path / "operator.log").read_text()
        asked, granted = used(requests), needed(GRANTS, LEASE)
        assert granted - asked <= SELDOM
        # to read a named object is granted by the right to read all of them
        assert {(resource.partition("/xstilts-")[0], verb) for resource, verb in asked - granted} <= granted
        pods = (await api.get(f"/api/v1/namespaces/{TEAM}/pods"))["items"]
        assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"xstilts-stage"}
        lease = await api.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/xstilts-operator")
        assert lease["spec"]["holderIdentity"] == ""


def may(plane: Audited, verb: str, resource: str, namespace: str = TEAM) -> bool:
    """Whether the operator's account may, as the API server says."""
    account = plane.service_account_kubeconfig(NAMESPACE, NAME)
    with contextlib.suppress(RuntimeError):  # kubectl ends with 1 where the answer is no
        return plane.kubectl("auth", "can-i", verb, resource, "-n", namespace, kubeconfig=account) == "yes\n"
    return False


@pytest.mark.parametrize(("verb", "resource"), MAY_NOT)
def test_the_account_may_not(installed: Audited, verb: str, resource: str) -> None:
    assert not may(installed, verb, resource)


def test_the_account_may_work_where_it_serves(installed: Audited) -> None:
    assert may(installed, "create", "jobs")
    assert may(installed, "patch", "configmaps/xstilts-ca")
    assert may(installed, "update", "leases/xstilts-operator", NAMESPACE)
    for namespace in (NAMESPACE, "default"):
        assert not may(installed, "list", "jobs", namespace)


def test_the_account_may_read_the_keys_that_tokens_are_signed_with(installed: Audited) -> None:
    """By the right that Kubernetes gives every account: the progress server verifies its pods' tokens by them."""
    account = installed.service_account_kubeconfig(NAMESPACE, NAME)
    for path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
        assert json.loads(installed.kubectl("get", "--raw", path, kubeconfig=account))


def test_it_is_upgraded_and_leaves_only_what_was_asked(installed: Audited) -> None:
    def there(*arguments: str) -> list[str]:
        return installed.kubectl("get", *arguments, "-o", "name").split()

    on_server(installed, "upgrade", RELEASE, CHART, "--values", "-", stdin=values(parallelism=9))
    config_map = installed.kubectl("get", "configmap", NAME, "-n", NAMESPACE, "-o", "json")
    assert "parallelism: 9" in json.loads(config_map)["data"]["settings.yaml"]
    before = there("transferstages", "-n", TEAM)
    on_server(installed, "uninstall", RELEASE)
    assert there("deployments,services,roles,rolebindings", "-n", NAMESPACE) == []
    assert there("roles,rolebindings", "-n", TEAM) == []
    assert there("transferstages", "-n", TEAM) == before
    assert len(there("customresourcedefinitions")) == 2
    on_server(installed, "install", RELEASE, CHART, "--values", "-", stdin=values())  # over what was kept
