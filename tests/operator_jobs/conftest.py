"""An administrator's settings, and experiments as people write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from xstilts.canonical import sha256_hex
from xstilts.spec import Experiment, parse_experiment
from xstilts_operator.plans import PlanDocument, accept
from xstilts_operator.settings import Settings

UID = "5f1c2d3e-0000-4000-8000-000000000001"
IMAGES = {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"}
STORES = {"default": {"claim": "experiments"}, "bucket": {"url": "s3://bucket/team", "secret": "s3-keys"}}


def store(name: str) -> str:
    return f"store://{name}@sha256:{sha256_hex(name.encode())}"


SPEC: dict[str, Any] = {
    "models": [{"name": "small", "pretrained": store("small"), "family": "E5"}],
    "tasks": [{"name": name, "data": store(name)} for name in ("mnli", "squad", "xnli", "xquad", "mlqa")],
    "intermediates": [{"name": "squad", "tasks": ["squad"]}],
    "targets": [{"task": "xnli"}, {"task": "xquad"}],
    "seeds": [1, 2],
}


def make_experiment(*, name: str = "grid", namespace: str = "team", **changes: Any) -> Experiment:
    manifest = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**deepcopy(SPEC), **changes},
    }
    return parse_experiment(json.dumps(manifest))


def make_settings(**changes: Any) -> Settings:
    return Settings.parse({"images": IMAGES, "stores": STORES, **changes})


@pytest.fixture(scope="session")
def make() -> Callable[..., Experiment]:
    return make_experiment


@pytest.fixture(scope="session")
def configured() -> Callable[..., Settings]:
    return make_settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    return make_settings()


@pytest.fixture(scope="session")
def accepted() -> Callable[..., PlanDocument]:
    """The plan of an experiment whose spec has some fields changed."""
    return lambda **changes: accept(make_experiment(**changes), UID, IMAGES["trainer"])
