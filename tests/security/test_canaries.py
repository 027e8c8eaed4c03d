"""Every leaf of the custom resource's own schema has a canary, and the pods of every kind are looked through for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_jobs.canaries import MANIFESTS, schema_leaves
from operator_jobs.conftest import make_settings
from operator_jobs.test_canaries import made_of
from xstilts.stage import Kind
from xstilts_operator.names import KIND_LABEL

SCALARS = {"string", "integer", "boolean", "number"}


def leaves(node: dict[str, Any], path: str = "") -> Iterator[str]:
    """The leaves of a structural schema, as the canaries' paths have them."""
    for name, inner in node.get("properties", {}).items():
        yield from leaves(inner, f"{path}.{name}")
    if isinstance(inner := node.get("additionalProperties"), dict):
        yield from leaves(inner, f"{path}.*")
    if "items" in node:
        yield from leaves(node["items"], f"{path}[]")
    if node.get("type") in SCALARS:
        yield path
    assert not node.get("x-kubernetes-preserve-unknown-fields"), (
        f"{path} takes anything, and no canary stands for that"
    )
    assert not node.get("x-kubernetes-embedded-resource"), path


def test_the_canaries_are_in_every_leaf_of_the_custom_resource(repository: Path) -> None:
    crd = yaml.safe_load((repository / "crds" / "xstilts.dev_transferexperiments.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    found = set(leaves(schema["properties"]["spec"], ".spec"))
    assert len(found) > 60
    assert found == {path for path in schema_leaves() if path.startswith(".spec.")}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_pod_of_every_kind_is_looked_through(name: str) -> None:
    stages, _, companions = made_of(MANIFESTS[name], make_settings)
    kinds = {job["metadata"]["labels"][KIND_LABEL] for job in [*stages, *companions]}
    assert kinds == {kind.value for kind in Kind} | {"lookup"}
