"""Experiments that are estimated, written as a person would write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xstilts.estimate import accelerator, estimate
from xstilts.plan import plan
from xstilts.spec import load_experiment, parse_experiment

EXAMPLES = Path(__file__).parents[2] / "examples"


def manifest(**changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "models": [{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large"}],
        "intermediates": [{"name": "mnli", "tasks": ["mnli"]}, {"name": "squad", "tasks": ["squad"]}],
        "targets": [{"task": "xnli"}, {"task": "xquad"}, {"task": "mlqa"}, {"task": "tatoeba"}],
        "seeds": [1, 2],
        "resources": {"gpus": 1},
        **changes,
    }
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": "costly"},
        "spec": spec,
    }


def estimated(on: str = "A100", *, found: Any = None, price: Any = None, **changes: Any):
    experiment = parse_experiment(json.dumps(manifest(**changes)))
    more = {} if found is None else {"found": found}
    return estimate(plan(experiment), experiment.spec, accelerator(on), price=price, **more)


def example(name: str, on: str = "A100"):
    experiment = load_experiment(EXAMPLES / f"{name}.yaml")
    return estimate(plan(experiment), experiment.spec, accelerator(on))


@pytest.fixture(scope="session")
def make():
    return estimated


@pytest.fixture(scope="session")
def write():
    def to(path: Path, **changes: Any) -> Path:
        path.write_text(json.dumps(manifest(**changes)), encoding="utf-8")
        return path

    return to


@pytest.fixture(scope="session")
def of_example():
    return example
