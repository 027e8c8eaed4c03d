"""What the chart tells people's programs of stores, and what a program makes of it: a pod that passes the restricted standard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

from chart.rendering import NAMESPACE, Object, of_kind, render
from operator_jobs.kubernetes_schemas import assert_restricted
from xstilts.cluster.stores import CONFIG_MAP, KEY, Published, Reach, Stores, pod

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("rendered")]


def published(manifests: list[Object]) -> dict[str, Stores]:
    """Namespace -> what its ConfigMap says."""
    return {
        one["metadata"]["namespace"]: Stores.model_validate(yaml.safe_load(one["data"][KEY]))
        for one in of_kind(manifests, "ConfigMap")
        if one["metadata"]["name"] == CONFIG_MAP
    }


DEFAULT = Published(claim="experiments")
BUCKET = Published(url="s3://bucket/experiments", secret="bucket-keys")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("defaults", {}),
        ("namespaces", {"team-a": {"default": DEFAULT, "bucket": BUCKET}, "team-b": {"default": DEFAULT}}),
        ("cluster-wide", {"team-a": {"default": DEFAULT, "bucket": BUCKET}}),
        ("by-hand", {NAMESPACE: {"default": DEFAULT}}),
    ],
)
def test_each_namespace_is_told_of_the_stores_that_it_may_use(
    rendered: Callable[[str], list[Object]], case: str, expected: Mapping[str, Any]
) -> None:
    assert {name: told.stores for name, told in published(rendered(case)).items()} == expected


def test_it_is_told_what_a_lookup_runs_with(rendered: Callable[[str], list[Object]]) -> None:
    plain = published(rendered("namespaces"))["team-a"]
    assert (plain.image, plain.user, plain.service_account) == (
        "xstilts-operator:0.1.0",
        10001,
        "xstilts-stage",
    )
    told = published(rendered("everything"))["team-a"]
    assert told.image.startswith("registry.example.com:5000/team/xstilts-operator@sha256:")
    assert (told.pull_policy, told.pull_secrets, told.user) == ("Always", ("registry-key",), None)
    assert told.scratch == "1Ti"
    made = pod(Reach(told.stores["default"], told), "team-a", "xstilts-store-1", ["python"], 60)
    assert made["metadata"]["labels"]["example.com/team"] == "nlp"
    assert made["metadata"]["annotations"] == {"karpenter.sh/do-not-disrupt": "true"}
    assert made["spec"]["nodeSelector"] == {"example.com/pool": "nlp"}
    assert made["spec"]["tolerations"] == [{"key": "dedicated", "value": "nlp", "effect": "NoSchedule"}]


def test_the_pod_that_is_made_of_it_is_restricted(rendered: Callable[[str], list[Object]]) -> None:
    for told in published(rendered("namespaces")).values():
        for store in told.stores.values():
            made = pod(Reach(store, told), "team-a", "xstilts-store-1", ["python"], 60)
            assert_restricted(made["spec"])


def test_cluster_wide_without_stores_of_named_namespaces_nothing_is_told() -> None:
    assert published(render({"scope": {"clusterWide": True}, "stores": {"default": {"claim": "a"}}})) == {}
