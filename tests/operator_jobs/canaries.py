"""Experiments with a token of its own in every leaf, and where tokens surface in what is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from xstilts.canonical import sha256_hex
from xstilts.spec import Experiment

HUB = "canary-{0}/canary-{0}"


def source(name: str) -> str:
    return f"store://canary-{name}@sha256:{sha256_hex(name.encode())}"


OVERRIDE = {
    "learningRate": "0.000123457",
    "epochs": 887,
    "batchSize": 60_013,
    "maxLength": 16_007,
    "maxExamples": 900_000_011,
    "warmupRatio": "0.123459",
    "weightDecay": "0.123461",
    "optimizer": "Adafactor",
    "precision": "BF16",
}
EVERYTHING: dict[str, Any] = {
    "apiVersion": "xstilts.dev/v1alpha1",
    "kind": "TransferExperiment",
    "metadata": {
        "name": "canary-experiment",
        "namespace": "canary-namespace",
        "labels": {"canary-label": "canary-label-value"},
        "annotations": {"canary-annotation": "canary-annotation-value"},
    },
    "spec": {
        "models": [
            {
                "name": "canary-model",
                "pretrained": HUB.format("hub"),
                "revision": "cafe" * 10,
                "form": "EncoderHead",
                "family": "E5",
                "pooling": "Mean",
                "layer": 251,
                "prefix": "canary prefix: ",
                "lora": {
                    "rank": 1013,
                    "alpha": 4093,
                    "dropout": "0.123463",
                    "targetModules": ["canary_module"],
                },
                "stageResources": {"gpus": 53, "cpu": 997, "memory": "997Gi", "nodes": 47},
            },
            {"name": "plain", "pretrained": HUB.format("plain"), "family": "XLMR", "layer": 7},
        ],
        "tasks": [
            {
                "name": "canary-task",
                "type": "Classification",
                "data": source("rows"),
                "languages": ["en", "qq-canary01"],
                "labels": ["canary yes", "canary no"],
                "splits": {"train": "canary_a", "validation": "canary_b", "test": "canary_c"},
            },
            {
                "name": "canary-other",
                "type": "Classification",
                "data": source("more"),
                "languages": ["en", "qq-canary01"],
                "labels": ["yes", "no"],
            },
            {
                "name": "canary-pairs",
                "type": "Retrieval",
                "data": source("pairs"),
                "languages": ["qq-canary02"],
            },
        ],
        "dataRevisions": {HUB.format("data"): "beef" * 10},
        "intermediates": [
            {
                "name": "canary-mix",
                "tasks": ["canary-task", "canary-other"],
                "mixing": {"strategy": "Temperature", "temperature": "3.14161", "examplesCap": 777_777_773},
                "continuedPretraining": {
                    "objective": "MLM",
                    "ratio": "0.271829",
                    "corpus": source("corpus"),
                    "languages": ["qq-canary03"],
                },
            },
            {"name": "canary-translated", "tasks": ["canary-other"], "translatedTo": ["qq-canary01"]},
        ],
        "baseline": True,
        "targets": [{"task": "canary-task"}, {"task": "canary-pairs", "probeLayers": True}],
        "seeds": [4_000_000_007],
        "training": {
            "defaults": {"epochs": 2},
            "overrides": [
                {**OVERRIDE, "match": {"phase": "target", "task": "canary-task", "model": "canary-model"}},
                {
                    "match": {"phase": "intermediate", "family": "XLMR"},
                    "sweep": {"learningRate": ["0.000123481", "0.000123483"]},
                },
            ],
            "sweep": {"learningRate": ["0.000123467", "0.000123469"]},
        },
        "analysis": {"primary": ["worstLanguage"], "correction": "BH"},
        "store": {"name": "canary-store", "keep": "Intermediate"},
        "resources": {
            "gpus": 61,
            "cpu": 1009,
            "memory": "1009Gi",
            "nodes": 59,
            "nodeSelector": {"canary/selector": "canary-selected"},
            "tolerations": [
                {
                    "key": "canary/toleration",
                    "operator": "Equal",
                    "value": "canary-tolerated",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300_007,
                }
            ],
            "priorityClassName": "canary-priority",
            "runtimeClassName": "canary-runtime",
        },
        "queueName": "canary-queue",
        "parallelism": 983,
        "budget": {"gpuHours": 9_999_991},
        "suspend": False,
        "retryFailedAt": "2031-07-09T08:07:06Z",
        "activeDeadlineSeconds": 31_536_001,
        "ttlSecondsAfterFinished": 31_536_003,
    },
}
# The same with the fields that exclude others.
BARE = {
    **EVERYTHING,
    "spec": {
        **EVERYTHING["spec"],
        "training": {"learningRate": "0.000123479", "overrides": []},
    },
}
DEFAULTED = {
    **EVERYTHING,
    "spec": {**EVERYTHING["spec"], "training": {"defaults": OVERRIDE, "overrides": []}},
}
MANIFESTS = {"everything": EVERYTHING, "a bare learning rate": BARE, "defaults": DEFAULTED}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a JSON value, and every key of a mapping, with its path; items of lists have `[]`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}#", key
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value


def schema_leaves() -> set[str]:
    """The paths of all leaves that the manifest can have; keys of free mappings are `*`."""
    schema = Experiment.model_json_schema()

    def walk(node: dict[str, Any], path: str) -> Iterator[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        for part in (*node.get("anyOf", ()), *node.get("allOf", ())):
            yield from walk(part, path)
        for name, inner in node.get("properties", {}).items():
            yield from walk(inner, f"{path}.{name}")
        for inner in (*node.get("patternProperties", {}).values(), node.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from walk(inner, f"{path}.*")
        if "items" in node:
            yield from walk(node["items"], f"{path}[]")
        if node.get("type") in {"string", "integer", "boolean", "number"}:
            yield path

    return set(walk(schema, ""))


def surfaces(token: Any, body: Any) -> Iterator[str]:
    """The paths at which a token stands in an object; a number stands where it is no part of a longer one or of a digest."""
    text = re.escape(str(token))
    pattern = re.compile(rf"(?<![\w.]){text}(?!\w)" if isinstance(token, int) else text)
    for path, value in leaves(body):
        if pattern.search(str(value)):
            yield path
