"""The schema of the values: it has every field of the operator's settings, takes what they take, and refuses the rest."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic import BaseModel

from chart.rendering import CASES, CHART, HelmError, Values, render
from xstilts_operator.settings import (
    AttemptSettings,
    HubSettings,
    ImageSettings,
    PlacementSettings,
    PodSettings,
    Settings,
    StoreSettings,
)

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
MADE_BY_THE_CHART = {"images.trainer", "images.operator", "namespaces", "progress", "pods.serviceAccount"}

WRONG: dict[str, tuple[Values, str]] = {
    "a name that is not there": ({"replicas": 2}, "replicas"),
    "a name that is not there, further in": ({"pods": {"serviceAccount": "x"}}, "serviceAccount"),
    "a store in two places": ({"stores": {"default": {"claim": "a", "url": "s3://b"}}}, "stores"),
    "a store in no place": ({"stores": {"default": {"secret": "a"}}}, "stores"),
    "a bucket that is shared as a claim is": (
        {"stores": {"default": {"url": "s3://a", "sharing": "Node"}}},
        "stores",
    ),
    "a store's name": ({"stores": {"Default": {"claim": "a"}}}, "Default"),
    "a path for a store": ({"stores": {"default": {"url": "/data"}}}, "/stores/default/url"),
    "some namespaces and all": ({"scope": {"clusterWide": True, "namespaces": ["a"]}}, "/scope/namespaces"),
    "a namespace twice": ({"scope": {"namespaces": ["a", "a"]}}, "/scope/namespaces"),
    "a text for a number": ({"parallelism": "8"}, "/parallelism"),
    "nothing at once": ({"parallelism": 0}, "/parallelism"),
    "root": ({"pods": {"user": 0}}, "/pods/user"),
    "a Job that takes its answer with it": ({"pods": {"jobTtlSeconds": 0}}, "/pods/jobTtlSeconds"),
    "a half quantity": ({"pods": {"scratch": "1.5Gi"}}, "/pods/scratch"),
    "a label that is none": ({"pods": {"labels": {"team": "a b"}}}, "/pods/labels/team"),
    "a number for a label": ({"pods": {"annotations": {"team": 1}}}, "/pods/annotations/team"),
    "a toleration of nothing": ({"pods": {"tolerations": [{"effect": "NoSchedule"}]}}, "/pods/tolerations/0"),
    "a variable with a dash": ({"pods": {"environment": {"MY-PROXY": "a"}}}, "MY-PROXY"),
    "a short digest": ({"images": {"trainer": {"digest": "sha256:abc"}}}, "/images/trainer/digest"),
    "an image with its tag": ({"images": {"registry": "a b"}}, "/images/registry"),
    "less time than the end takes": (
        {"operator": {"terminationGracePeriodSeconds": 20}},
        "/operator/terminationGracePeriodSeconds",
    ),
    "a pull policy": ({"images": {"pullPolicy": "Sometimes"}}, "/images/pullPolicy"),
    "a text for a truth": ({"kueue": "false"}, "/kueue"),
}


def merged(values: Values, defaults: Values = DEFAULTS) -> dict[str, Any]:
    """Values as Helm hands them on: over the defaults, and without those that are null."""
    both = {key: values.get(key, default) for key, default in defaults.items()} | dict(values)
    return {
        key: merged(value, defaults.get(key) or {}) if isinstance(value, dict) else value
        for key, value in both.items()
        if value is not None
    }


def errors(values: Values) -> list[str]:
    return [
        f"/{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft7Validator(SCHEMA).iter_errors(merged(values))
    ]


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_it_takes_the_defaults_and_every_case(case: str) -> None:
    assert errors(CASES[case]) == []


@pytest.mark.parametrize("name", WRONG)
def test_it_refuses(name: str) -> None:
    values, where = WRONG[name]
    said = errors(values)
    assert said
    assert any(where in one for one in said), said


@pytest.mark.slow
@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("name", WRONG)
def test_helm_says_where_a_value_is_wrong(name: str) -> None:
    values, where = WRONG[name]
    with pytest.raises(HelmError) as refused:
        render(values)
    assert where.rpartition("/")[2] in str(refused.value)


def objects(schema: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every object of the schema that has properties."""
    found = [(path, schema)] if "properties" in schema else []
    for name, below in schema.get("properties", {}).items():
        found += objects(below, f"{path}.{name}")
    for name, below in schema.get("definitions", {}).items():
        found += objects(below, f"{path}#{name}")
    return found


def test_no_object_takes_a_name_that_is_written_wrong() -> None:
    for path, schema in objects(SCHEMA):
        if path != ".scope" or "if" in schema:
            assert schema["additionalProperties"] is False, path


def test_each_value_has_a_default_and_each_default_a_rule() -> None:
    def compare(schema: Any, defaults: Any, path: str) -> None:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        if "properties" not in schema or not isinstance(defaults, dict) or not defaults:
            return
        if "resources" in path:
            return
        assert schema["properties"].keys() - {"global"} == defaults.keys(), path
        for key, value in defaults.items():
            compare(schema["properties"][key], value, f"{path}.{key}")

    compare(SCHEMA, DEFAULTS, "")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (Settings, ()),
        (ImageSettings, ("images",)),
        (PodSettings, ("pods",)),
        (PlacementSettings, ("pods", "placement")),
        (HubSettings, ("hub",)),
        (AttemptSettings, ("attempts",)),
    ],
)
def test_every_setting_of_the_operator_is_a_value(model: type[BaseModel], path: tuple[str, ...]) -> None:
    schema: Any = SCHEMA
    for key in path:
        schema = schema["properties"][key]
    for field in model.model_fields.values():
        if ".".join((*path, str(field.alias))) not in MADE_BY_THE_CHART:
            assert field.alias in schema["properties"], field.alias


def test_every_setting_of_a_store_is_a_value() -> None:
    store = SCHEMA["properties"]["stores"]["additionalProperties"]["properties"]
    assert store.keys() == {field.alias for field in StoreSettings.model_fields.values()}


def test_patterns_are_those_of_the_settings() -> None:
    """What the schema lets through, the operator can read: the same patterns stand in both."""
    settings = Settings.model_json_schema()
    pods = settings["$defs"]["PodSettings"]["properties"]
    definitions = SCHEMA["definitions"]
    assert definitions["quantity"]["pattern"] == pods["scratch"]["pattern"]
    assert definitions["dottedName"]["pattern"] == pods["serviceAccount"]["pattern"]
    placement = settings["$defs"]["PlacementSettings"]["properties"]
    assert definitions["labelKey"]["pattern"] == placement["tolerationKeys"]["anyOf"][0]["items"]["pattern"]
    toleration = settings["$defs"]["Toleration"]["properties"]
    assert definitions["toleration"]["properties"].keys() == toleration.keys()
    assert definitions["labelValue"]["pattern"] == toleration["value"]["anyOf"][0]["pattern"]
    namespaces = settings["properties"]["namespaces"]["items"]
    assert definitions["name"]["pattern"] == namespaces["pattern"]
    policies = get_args(ImageSettings.model_fields["pull_policy"].annotation)
    assert SCHEMA["properties"]["images"]["properties"]["pullPolicy"]["enum"] == list(policies)
