"""What is submitted: experiments, and the same work as plain Jobs and as PyTorchJobs."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from xstilts.canonical import sha256_hex
from xstilts.spec import Resources
from xstilts.stage import Kind
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.jobs import Attempt, stage_job
from xstilts_operator.names import API_VERSION
from xstilts_operator.settings import Settings

SETTINGS: Final[dict[str, Any]] = {
    "images": {"trainer": "registry.example/trainer:1", "operator": "registry.example/operator:1"},
    "stores": {"default": {"url": "s3://bench/experiments"}},
}
HELD: Final = {
    "bench.xstilts.dev/held": "true"
}  # a label of all nodes; pods that ask for it do not end by themselves

Object = dict[str, Any]


def one_stage(namespace: str, number: int) -> Object:
    """An experiment of one stage, no other's: a retrieval by a model as it is."""
    spec = {
        "models": [{"name": "e5", "pretrained": _source("e5"), "family": "E5"}],
        "tasks": [{"name": "tatoeba", "data": _source("tatoeba", number), "languages": ["de"]}],
        "targets": [{"task": "tatoeba"}],
        "seeds": [1],
        "resources": {"gpus": 1},
    }
    return _experiment(namespace, f"one-{number}", spec)


def grid(namespace: str, number: int, *, models: int, seeds: int, parallelism: int) -> Object:
    """An experiment of 2 x models x seeds stages: trainings that are ready at once, and an evaluation of each.

    Its pods are held.
    """
    spec = {
        "models": [
            {"name": f"model-{index}", "pretrained": _source("model", number, index), "family": "E5"}
            for index in range(models)
        ],
        "tasks": [{"name": name, "data": _source(name)} for name in ("mnli", "xnli")],
        "targets": [{"task": "xnli"}],
        "seeds": list(range(1, seeds + 1)),
        "parallelism": parallelism,
        "resources": {"gpus": 1, "nodeSelector": HELD},
    }
    return _experiment(namespace, f"grid-{number}", spec)


def plain_job(namespace: str, number: int) -> Object:
    """The Job that the operator makes of a stage, without an owner: what it runs on is the same to the byte."""
    attempt = Attempt(
        stage=Reference(Resource.STAGE, namespace, f"plain-{number}", "none"),
        kind=Kind.TRAIN,
        text=_STAGE_TEXT,
        number=1,
        payer="plain",
        placement=Resources(gpus=1),
    )
    body: Object = {**stage_job(attempt, _settings().stores["default"], _settings())}
    metadata = {name: value for name, value in body["metadata"].items() if name != "ownerReferences"}
    return {**body, "metadata": metadata}


def pytorch_job(namespace: str, number: int) -> Object:
    """The same pod as a PyTorchJob of one replica."""
    template = plain_job(namespace, number)["spec"]["template"]
    container = {**template["spec"]["containers"][0], "name": "pytorch"}  # the name that it looks for
    spec = {**template["spec"], "containers": [container]}
    master = {"replicas": 1, "restartPolicy": "Never", "template": {**template, "spec": spec}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": f"peer-{number}", "namespace": namespace},
        "spec": {"pytorchReplicaSpecs": {"Master": master}},
    }


@cache
def _settings() -> Settings:
    return Settings.parse(SETTINGS)


def _experiment(namespace: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": Resource.EXPERIMENT.value,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _source(name: str, *parts: int) -> str:
    return f"store://{name}@sha256:{sha256_hex(repr((name, *parts)).encode())}"


# As long as the stage of `one_stage`, so that the pods are of a size.
_STAGE_TEXT: Final = '{"key":"' + "0" * 64 + '","padding":"' + "x" * 600 + '"}'
