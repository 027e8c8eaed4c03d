"""The administrator's file is read whole or refused with the places that are wrong."""

from __future__ import annotations

import pytest

from xstilts.errors import SpecError
from xstilts_operator.settings import STORE_MOUNT, Settings

FILE = """\
images: {trainer: "registry.example/trainer@sha256:0123", operator: registry.example/operator:1}
namespaces: [team]
stores:
  default: {claim: experiments}
  shared: {url: "s3://bucket/x", secret: keys, namespaces: [team]}
pods: {serviceAccount: stages, placement: {nodeSelectorKeys: [pool], priorityClassNames: []}}
kueue: true
"""


def test_a_file_is_read(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(FILE, encoding="utf-8")
    settings = Settings.load(path)
    assert settings.stores["default"].root == STORE_MOUNT
    assert settings.stores["shared"].root == "s3://bucket/x"
    assert settings.pods.placement.node_selector_keys == ("pool",)
    assert settings.pods.placement.toleration_keys is None
    assert (settings.attempts.max_failures, settings.resync_seconds) == (3, 300)


def test_a_store_serves_its_namespaces(configured):
    stores = {"open": {"claim": "a"}, "closed": {"claim": "b", "namespaces": ["team"]}}
    settings = configured(stores=stores)
    assert settings.stores_of("team") == ("closed", "open")
    assert settings.stores_of("other") == ("open",)
    assert settings.store("closed", "other") is None
    assert settings.store("closed", "team") is settings.stores["closed"]
    assert settings.store("unknown", "team") is None


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("stores: {x: {claim: a, url: 's3://b'}}", "stores.x"),
        ("stores: {x: {}}", "stores.x"),
        ("stores: {x: {url: 's3://b', sharing: Node}}", "stores.x"),
        ("stores: {x: {claim: a, sharing: Pod}}", "stores.x.sharing"),
        ("stores: {Upper: {claim: a}}", "stores"),
        ("pods: {user: 0}", "pods.user"),
        ("pods: {jobTtlSeconds: 0}", "pods.jobTtlSeconds"),
        ("progress: {address: 'http://plain'}", "progress.address"),
        ("progress: {address: 'https://server/path'}", "progress.address"),
        ("parallelism: 0", "parallelism"),
        ("unknown: 1", "unknown"),
        ("pods: {defaultMemory: lots}", "pods.defaultMemory"),
    ],
)
def test_what_is_wrong_is_named(line, place, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(f"images: {{trainer: a, operator: b}}\n{line}\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        Settings.load(path)
    assert any(problem.field.startswith(f"{path}: {place}") for problem in caught.value.problems)


@pytest.mark.parametrize("content", [None, b"", b"[1", b"\xff\xfe", b"just text"])
def test_a_file_that_is_none_is_refused(content, tmp_path):
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError):
        Settings.load(path)
