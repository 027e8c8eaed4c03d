"""The chart on a real API server: Helm installs it, and the operator works with the rights that it gives and no others.

The API server's audit log says what the operator has asked for, watches too.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from chart.grants import GRANTS, LEASE, needed
from chart.rendering import CHART, NAME, NAMESPACE, RELEASE
from chart.server import TEAM, Audited, grants_used, on_server, operating, values
from controlplane.api import connect, eventually
from controlplane.experiments import answering
from controlplane.player import playing
from operator_sim.schedules import experiment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("rendered"),
]

EXPERIMENT = f"/apis/xstilts.dev/v1alpha1/namespaces/{TEAM}/transferexperiments/reference"
MAY_NOT = (
    ("get", "secrets"),
    ("list", "persistentvolumeclaims"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("update", "transferexperiments"),
    ("patch", "transferexperiments"),
    ("deletecollection", "transferstages"),
    ("deletecollection", "jobs"),
    ("delete", "configmaps"),
    ("patch", "configmaps/other"),
    ("create", "roles"),
    ("create", "serviceaccounts/token"),
    ("get", "leases"),
)


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
        granted = needed(GRANTS, LEASE)
        assert grants_used(requests, granted) <= granted
        pods = (await api.get(f"/api/v1/namespaces/{TEAM}/pods"))["items"]
        assert {pod["spec"]["serviceAccountName"] for pod in pods} == {"xstilts-stage"}
        lease = await api.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{NAME}-operator")
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
    assert may(installed, "update", f"leases/{NAME}-operator", NAMESPACE)
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
    assert there("validatingadmissionpolicies,validatingadmissionpolicybindings") == []
    assert there("transferstages", "-n", TEAM) == before
    assert len(there("customresourcedefinitions")) == 2
    on_server(installed, "install", RELEASE, CHART, "--values", "-", stdin=values())  # over what was kept
