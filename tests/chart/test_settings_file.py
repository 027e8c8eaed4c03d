"""The settings file that the chart writes, read by the operator itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chart.rendering import DIGEST, NAMESPACE, Object, settings_text, the
from xstilts.spec import Toleration
from xstilts_operator.progress.tls import host_of
from xstilts_operator.settings import (
    AttemptSettings,
    HubSettings,
    ImageSettings,
    PlacementSettings,
    PodSettings,
    ProgressSettings,
    Settings,
    StoreSettings,
)

pytestmark = pytest.mark.slow

IMAGES = ImageSettings(trainer="xstilts-trainer:0.1.0", operator="xstilts-operator:0.1.0")
STORES = {
    "default": StoreSettings(claim="experiments", sharing="Nodes"),
    "bucket": StoreSettings(url="s3://bucket/experiments", secret="bucket-keys", namespaces=("team-a",)),
}
PROGRESS = ProgressSettings(address=f"https://tried-xstilts.{NAMESPACE}.svc:8443")
EXPECTED = {
    "defaults": Settings(
        images=IMAGES,
        namespaces=(NAMESPACE,),
        progress=PROGRESS,
        pods=PodSettings(service_account="xstilts-stage"),
    ),
    "namespaces": Settings(
        images=IMAGES,
        namespaces=("team-a", "team-b"),
        stores=STORES,
        progress=PROGRESS,
        pods=PodSettings(service_account="xstilts-stage"),
    ),
    "cluster-wide": Settings(images=IMAGES, stores=STORES, progress=PROGRESS),
    "everything": Settings(
        images=ImageSettings(
            trainer="registry.example.com:5000/team/gpu/xstilts-trainer:2.0",
            operator=f"registry.example.com:5000/team/xstilts-operator@{DIGEST}",
            pull_policy="Always",
            pull_secrets=("registry-key",),
        ),
        namespaces=("team-a",),
        stores=STORES,
        pods=PodSettings(
            service_account="xstilts-stage",
            user=None,
            scratch="1Ti",
            companion_cpu=2,
            grace_seconds=600,
            placement=PlacementSettings(
                node_selector_keys=("example.com/pool",), toleration_keys=(), priority_class_names=("low",)
            ),
            labels={"example.com/team": "nlp"},
            annotations={"karpenter.sh/do-not-disrupt": "true"},
            node_selector={"example.com/pool": "nlp"},
            tolerations=(Toleration(key="dedicated", value="nlp", effect="NoSchedule"),),
            environment={"HTTPS_PROXY": "http://proxy.example.com:3128"},
        ),
        hub=HubSettings(endpoint="https://hub.example.com", token_secret="hub", token_key="key"),
        progress=ProgressSettings(address=f"https://transfer.{NAMESPACE}.svc:8443"),
        attempts=AttemptSettings(max_failures=1, backoff_seconds=0),
        parallelism=1_000_000,
        ttl_seconds_after_finished=2_592_000,
        kueue=True,
    ),
    "by-hand": Settings(
        images=IMAGES, namespaces=(NAMESPACE,), stores=STORES, pods=PodSettings(service_account="given")
    ),
}


def test_the_operator_reads_what_the_values_say(manifests: list[Object], case: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(settings_text(manifests))
    assert Settings.load(file) == EXPECTED[case]


def test_pods_report_to_the_charts_service(rendered: Callable[[str], list[Object]], tmp_path: Path) -> None:
    for case in ("defaults", "everything"):
        service = the(rendered(case), "Service")["metadata"]
        address = EXPECTED[case].progress.address
        assert address is not None
        assert host_of(address) == f"{service['name']}.{service['namespace']}.svc"


def test_stages_have_an_account_wherever_they_run(manifests: list[Object], case: str) -> None:
    name, namespaces = EXPECTED[case].pods.service_account, EXPECTED[case].namespaces
    made = {
        one["metadata"]["namespace"]
        for one in manifests
        if one["kind"] == "ServiceAccount" and one["metadata"]["name"] == name
    }
    assert made == (set(namespaces) if name == "xstilts-stage" else set())
