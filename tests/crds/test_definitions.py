"""The committed definitions: what the script makes, structural, bounded everywhere, and small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from xstilts.spec import ExperimentSpec

NAMES = ("transferexperiments", "transferstages")
LAST_APPLIED = 262_144  # bytes that annotations may have: plain `kubectl apply` keeps the object there
LIMIT = 80_000

Schema = dict[str, Any]


@pytest.fixture(scope="module", params=NAMES)
def definition(request, repository) -> Schema:
    return yaml.safe_load((repository / "crds" / f"xstilts.dev_{request.param}.yaml").read_text("utf-8"))


@pytest.fixture
def schema(definition) -> Schema:
    [version] = definition["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema with its path, the root's first."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from nodes(schema[word], f"{path}[]")


def test_the_files_are_what_the_script_makes(assert_as_made: Callable[[str], None]) -> None:
    assert_as_made("crds.py")


def test_it_is_small_enough_for_plain_apply(repository, definition) -> None:
    assert len(json.dumps(definition)) < LAST_APPLIED
    for name in NAMES:
        assert (repository / "crds" / f"xstilts.dev_{name}.yaml").stat().st_size < LIMIT


def test_names(definition) -> None:
    spec = definition["spec"]
    assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert (spec["group"], spec["scope"]) == ("xstilts.dev", "Namespaced")
    assert spec["names"]["shortNames"] == [
        {"TransferExperiment": "tx", "TransferStage": "txs"}[spec["names"]["kind"]]
    ]
    assert spec["names"]["categories"] == ["xstilts"]
    assert spec["versions"][0]["subresources"] == {"status": {}}


def test_types_are_said_and_of_the_few_that_kubernetes_wants(schema) -> None:
    for path, node in nodes(schema):
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        words = {"anyOf", "oneOf", "allOf", "not", "$ref", "nullable", "x-kubernetes-preserve-unknown-fields"}
        assert not words & node.keys(), path
        if node["type"] == "object" and path != ".metadata":
            assert ("properties" in node) != ("additionalProperties" in node), path
        if node["type"] == "integer":
            assert node["format"] == "int64", path
            assert "enum" not in node, path


def test_every_list_map_and_string_is_bounded(schema) -> None:
    for path, node in nodes(schema):
        match node["type"]:
            case "array":
                assert node["maxItems"] >= node.get("minItems", 0), path
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "object" if "additionalProperties" in node:
                assert node["maxProperties"], path


def test_every_list_says_what_it_is(schema) -> None:
    for path, node in nodes(schema):
        if node["type"] != "array":
            continue
        kind, items = node["x-kubernetes-list-type"], node["items"]
        if kind == "map":
            keys = node["x-kubernetes-list-map-keys"]
            assert set(keys) <= set(items["required"]), path
            assert all(items["properties"][key]["type"] == "string" for key in keys), path
        elif kind == "set":
            assert items["type"] in {"string", "integer"}, path
        else:
            assert kind == "atomic", path


def test_lists_of_the_spec(repository) -> None:
    file = repository / "crds" / "xstilts.dev_transferexperiments.yaml"
    [version] = yaml.safe_load(file.read_text("utf-8"))["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    kinds = {path: node["x-kubernetes-list-type"] for path, node in nodes(spec) if node["type"] == "array"}
    maps = {path for path, kind in kinds.items() if kind == "map"}
    assert maps == {".models", ".tasks", ".intermediates", ".targets"}
    atomic = {path for path, kind in kinds.items() if kind == "atomic"}
    assert atomic == {".tasks[].labels", ".training.overrides", ".resources.tolerations"}


def test_fields_of_the_spec_are_the_models(repository) -> None:
    file = repository / "crds" / "xstilts.dev_transferexperiments.yaml"
    [version] = yaml.safe_load(file.read_text("utf-8"))["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert list(spec["properties"]) == [field.alias for field in ExperimentSpec.model_fields.values()]
    for path, node in nodes(spec):
        for name, below in node.get("properties", {}).items():
            assert below["description"].endswith("."), f"{path}.{name}"


def test_rules_say_what_must_be(schema) -> None:
    for path, node in nodes(schema):
        for rule in node.get("x-kubernetes-validations", ()):
            assert "must" in rule["message"], path
            assert "\n" not in rule["message"], path


def test_a_default_is_one_that_may_be_written(schema) -> None:
    """Only where edits are compared: there, leaving a default out and writing it out are the same."""
    allowed = (
        ".spec.baseline",
        ".spec.training",
        ".spec.analysis",
        ".spec.store",
        ".spec.models[]",
        ".spec.tasks[]",
        ".spec.targets[]",
        ".spec.intermediates[]",
    )
    for path, node in nodes(schema):
        if "default" in node:
            assert path.startswith(allowed), path
