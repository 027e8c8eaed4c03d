"""A planned experiment in the operator's cache, with the stages that it owns: as far as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.experiments import manifest
from xstilts.spec import read_experiment
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.names import KIND_LABEL
from xstilts_operator.plans import FrozenStage, PlanDocument, accept, config_map

Status = Callable[[FrozenStage], dict[str, Any]]
NAMESPACE = "research"


def plan_in(cache: Cache, name: str, status_of: Status, *, version: int = 1, **grid: Any) -> PlanDocument:
    """Put an experiment, its plan and its stages into the cache; `status_of` is asked for each stage's status."""
    asked = manifest(name, **grid)
    asked["metadata"]["namespace"] = NAMESPACE
    document = accept(read_experiment(asked), f"uid-{name}", "image")
    config = config_map(document, f"uid-{name}")
    config["metadata"] |= {"uid": f"uid-plan-{name}", "resourceVersion": "1"}
    cache.upsert(Resource.CONFIG_MAP, config)
    status = {"plan": {"name": config["metadata"]["name"]}}
    cache.upsert(Resource.EXPERIMENT, {"metadata": _metadata(name, version), "status": status})
    owner = {"kind": "TransferExperiment", "name": name, "uid": f"uid-{name}"}
    for stage in document.stages.values():
        metadata = _metadata(stage.name, version) | {
            "labels": {KIND_LABEL: stage.kind.value},
            "ownerReferences": [owner],
        }
        spec = {"title": stage.title, "kind": stage.kind.value}
        cache.upsert(Resource.STAGE, {"metadata": metadata, "spec": spec, "status": status_of(stage)})
    return document


def _metadata(name: str, version: int) -> dict[str, Any]:
    return {
        "namespace": NAMESPACE,
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-24T12:00:00Z",
    }
