"""What Helm makes of the chart: valid, restricted, and consistent in itself and with the operator's code."""

from __future__ import annotations

import json
from collections.abc import Callable

import kubernetes_validate
import pytest
import yaml

from chart.rendering import CASES, CHART, DIGEST, NAME, NAMESPACE, RELEASE, Object, helm, of_kind, render, the
from operator_jobs.kubernetes_schemas import assert_restricted
from xstilts_operator import health, main
from xstilts_operator.metrics import endpoint
from xstilts_operator.progress import protocol
from xstilts_operator.settings import DEFAULT_FILE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("rendered")]

VERSIONS = ("1.30", "1.34", "1.37")
OTHERS = {"ServiceMonitor", "PrometheusRule"}  # the Prometheus Operator's: Kubernetes has no schema of them
POLICY = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", *POLICY}


def pods(manifests: list[Object]) -> list[Object]:
    """The specs of the operator's pod and of the test's."""
    return [the(manifests, "Deployment")["spec"]["template"]["spec"], the(manifests, "Pod")["spec"]]


def test_lint_has_nothing_to_say(case: str) -> None:
    said = helm("lint", "--strict", CHART, "--values", "-", stdin=json.dumps(CASES[case]))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_what_kubernetes_takes(manifests: list[Object], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in OTHERS:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_an_older_kubernetes_is_refused() -> None:
    with pytest.raises(Exception, match="incompatible"):
        render({}, "--kube-version", "1.29.0")


def test_each_object_is_named_once_and_labelled(manifests: list[Object]) -> None:
    named = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests]
    assert len(named) == len(set(named))
    for manifest in manifests:
        assert ("namespace" in manifest["metadata"]) == (manifest["kind"] not in CLUSTER_SCOPED), manifest
        if manifest["kind"] != "CustomResourceDefinition":
            labels = manifest["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == RELEASE
            assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_by_default_nothing_but_the_resources_is_cluster_wide(
    rendered: Callable[[str], list[Object]],
) -> None:
    for case in ("defaults", "namespaces"):
        manifests = rendered(case)
        assert {one["kind"] for one in manifests} & CLUSTER_SCOPED == {"CustomResourceDefinition"}
        assert not of_kind(manifests, "Secret", "PodDisruptionBudget", "NetworkPolicy", *OTHERS)


def test_pods_are_restricted(manifests: list[Object]) -> None:
    for pod in pods(manifests):
        assert_restricted({"volumes": [], **pod})
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_only_the_operator_gets_a_token(manifests: list[Object]) -> None:
    operator, test = pods(manifests)
    assert operator["automountServiceAccountToken"] is True
    assert test["automountServiceAccountToken"] is False
    for account in of_kind(manifests, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_one_operator_at_a_time_and_time_to_end(manifests: list[Object]) -> None:
    spec = the(manifests, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > main.DRAIN_SECONDS


def test_ports_are_those_that_the_operator_listens_on(manifests: list[Object], case: str) -> None:
    (container,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    listening = {port["name"]: port["containerPort"] for port in container["ports"]}
    expected = {"metrics": endpoint.PORT, "health": health.PORT, "progress": protocol.PORT}
    if case == "by-hand":
        del expected["progress"]
    assert listening == expected
    service = the(manifests, "Service")["spec"]
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == expected
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}


def test_selectors_find_the_operators_pod_alone(manifests: list[Object]) -> None:
    deployment = the(manifests, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    policies = [one["spec"]["podSelector"]["matchLabels"] for one in of_kind(manifests, "NetworkPolicy")]
    test = the(manifests, "Pod")["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        the(manifests, "Service")["spec"]["selector"],
        *policies,
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= test.items()
    for monitor in of_kind(manifests, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= the(manifests, "Service")["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] in {
            port["name"] for port in the(manifests, "Service")["spec"]["ports"]
        }


def test_the_settings_are_mounted_where_the_operator_reads_them(manifests: list[Object]) -> None:
    pod = the(manifests, "Deployment")["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
    folder, _, file = DEFAULT_FILE.rpartition("/")
    named = {one["metadata"]["name"]: one for one in of_kind(manifests, "ConfigMap")}
    assert named[mounts[folder]["configMap"]["name"]]["data"].keys() == {file}
    assert "emptyDir" in mounts["/tmp"]


def test_other_settings_start_the_operator_anew(rendered: Callable[[str], list[Object]]) -> None:
    def annotations(manifests: list[Object]) -> object:
        return the(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]

    before = annotations(rendered("defaults"))
    assert annotations(render({"parallelism": 9})) != before
    assert annotations(render({"operator": {"nodeSelector": {"a": "b"}}})) == before


def test_pods_know_who_and_where_they_are(manifests: list[Object]) -> None:
    (container,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    fields = {
        one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"]
        for one in container["env"]
        if "valueFrom" in one
    }
    assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    assert [one["name"] for one in container["env"] if "value" in one] == ["XSTILTS_LEASE"]


def test_images_are_named_by_digest_or_else_by_tag(rendered: Callable[[str], list[Object]]) -> None:
    assert {pod["containers"][0]["image"] for pod in pods(rendered("defaults"))} == {"xstilts-operator:0.1.0"}
    everything = pods(rendered("everything"))
    assert {pod["containers"][0]["image"] for pod in everything} == {
        f"registry.example.com:5000/team/xstilts-operator@{DIGEST}"
    }
    for pod in everything:
        assert pod["imagePullSecrets"] == [{"name": "registry-key"}]


@pytest.mark.parametrize("name", ["xstilts.dev_transferexperiments.yaml", "xstilts.dev_transferstages.yaml"])
def test_the_resources_are_those_of_the_project(rendered: Callable[[str], list[Object]], name: str) -> None:
    source = yaml.safe_load((CHART.parents[1] / "crds" / name).read_text())

    def of(case: str) -> Object:
        found = {one["metadata"]["name"]: one for one in of_kind(rendered(case), "CustomResourceDefinition")}
        return found[source["metadata"]["name"]]

    assert of("everything") == source
    kept = json.loads(json.dumps(of("defaults")))
    assert kept["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert kept == source


def test_the_network_policy_lets_pods_report_and_prometheus_scrape(
    rendered: Callable[[str], list[Object]],
) -> None:
    policy = the(rendered("everything"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    by_port = {rule["ports"][0]["port"]: rule.get("from") for rule in policy["ingress"]}
    (reporters,) = by_port["progress"]
    assert reporters["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "xstilts"}
    assert reporters["namespaceSelector"]["matchExpressions"][0]["values"] == ["team-a"]
    (scraper,) = by_port["metrics"]
    assert scraper["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    (test,) = by_port["health"]
    labels = the(rendered("everything"), "Pod")["metadata"]["labels"]
    assert test["podSelector"]["matchLabels"].items() <= labels.items()
    open_to_all = the(rendered("by-hand"), "NetworkPolicy")["spec"]["ingress"]
    assert {rule["ports"][0]["port"]: rule.get("from") for rule in open_to_all}["metrics"] is None


def test_two_releases_in_one_namespace_have_a_lease_each() -> None:
    names = {}
    for release in ("nlp", "vision", "xstilts"):
        manifests = render({}, release=release)
        (role,) = [one for one in of_kind(manifests, "Role") if one["metadata"]["name"].endswith("-lease")]
        ((granted,),) = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
        (container,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
        assert {"name": main.LEASE_VARIABLE, "value": granted} in container["env"]
        names[release] = granted
    assert names == {
        "nlp": "nlp-xstilts-operator",
        "vision": "vision-xstilts-operator",
        "xstilts": main.LEASE,
    }


def test_nothing_is_made_that_is_made_by_hand(rendered: Callable[[str], list[Object]]) -> None:
    manifests = rendered("by-hand")
    assert not of_kind(manifests, "ServiceAccount", "Role", "RoleBinding", "CustomResourceDefinition")
    assert pods(manifests)[0]["serviceAccountName"] == "given"


def test_the_notes_ask_for_a_store(case: str) -> None:
    notes = helm(
        "install",
        RELEASE,
        CHART,
        "--dry-run=client",
        "--namespace",
        NAMESPACE,
        "--values",
        "-",
        stdin=json.dumps(CASES[case]),
    ).partition("NOTES:")[2]
    assert ("It has no store yet" in notes) == ("stores" not in CASES[case])
    assert f"helm test {RELEASE}" in notes


def test_the_test_asks_the_operators_own_service(manifests: list[Object]) -> None:
    service = the(manifests, "Service")["metadata"]
    (container,) = the(manifests, "Pod")["spec"]["containers"]
    assert (
        container["command"][-1]
        == f"http://{service['name']}.{service['namespace']}.svc:{health.PORT}/readyz"
    )


def test_the_test_lands_where_the_operator_does(rendered: Callable[[str], list[Object]]) -> None:
    operator, test = (
        {field: spec.get(field) for field in ("nodeSelector", "tolerations")}
        for spec in pods(rendered("everything"))
    )
    assert all(operator.values())
    assert test == operator


def test_names_stay_within_their_bounds() -> None:
    long = helm("template", "r" * 53, CHART, "--namespace", NAMESPACE)
    for manifest in yaml.safe_load_all(long):
        if manifest and manifest["kind"] != "CustomResourceDefinition":
            assert len(manifest["metadata"]["name"]) <= 63
    assert the(render({}), "Deployment")["metadata"]["name"] == NAME
