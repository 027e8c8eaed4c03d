"""Small experiments, written as a person would write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from xstilts.canonical import sha256_hex
from xstilts.spec import Experiment, parse_experiment

Make = Callable[..., Experiment]


def store(name: str, content: str | None = None) -> str:
    """A source in the store, whose digest is made from its content's name."""
    return f"store://{name}@sha256:{sha256_hex((content or name).encode())}"


BASE: dict[str, Any] = {
    "models": [
        {"name": "small", "pretrained": store("small"), "family": "E5"},
        {"name": "large", "pretrained": store("large"), "family": "E5"},
    ],
    "tasks": [
        {"name": name, "data": store(name)}
        for name in (
            "mnli",
            "squad",
            "qqp",
            "xnli",
            "xquad",
            "mlqa",
            "tydiqa",
            "udpos",
            "pawsx",
        )
    ]
    + [
        {"name": "tatoeba", "data": store("tatoeba"), "languages": ["sw", "de", "th"]},
        {"name": "bucc2018", "data": store("bucc2018"), "languages": ["zh"]},
    ],
    "intermediates": [
        {"name": "squad", "tasks": ["squad"]},
        {"name": "mix", "tasks": ["qqp", "mnli"], "mixing": {"strategy": "Proportional", "examplesCap": 100}},
    ],
    "targets": [{"task": "xnli"}, {"task": "xquad"}, {"task": "mlqa"}, {"task": "tatoeba"}],
    "seeds": [1, 2],
}


def make_experiment(*, name: str = "grid", namespace: str | None = None, **changes: Any) -> Experiment:
    """The base experiment with some fields of its spec changed. Read from text, so that it is checked."""
    manifest = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {**deepcopy(BASE), **changes},
    }
    return parse_experiment(json.dumps(manifest))


@pytest.fixture(scope="session")
def make() -> Make:
    return make_experiment


@pytest.fixture(scope="session")
def base() -> Callable[[], dict[str, Any]]:
    return lambda: deepcopy(BASE)


@pytest.fixture(scope="session")
def store_source() -> Callable[..., str]:
    return store
