"""What the operator exposes to Prometheus, and what queries ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from monitoring.planned import plan_in
from operator_progress.exposing import everything
from xstilts.stage import Kind
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.plans import FrozenStage


def _cache() -> Cache:
    """An experiment with all that metrics are made of: its evaluation has succeeded, its training runs."""
    found = Cache()
    plan_in(found, "e", _stage_status)
    (planned,) = found.list(Resource.EXPERIMENT)
    cell = {"model": "m", "intermediate": "i", "target": "t", "score": "1", "delta": "1", "gap": "1"}
    status = {
        **planned["status"],
        "progressPercent": 50,
        "estimatedRemainingSeconds": 60,
        "gpuHours": {"spent": "1", "saved": "1"},
        "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Queued"}],
        "results": [cell],
    }
    metadata = {**planned["metadata"], "resourceVersion": "2"}
    models = [{"name": "m", "pretrained": "google/mt5-base"}]
    found.upsert(Resource.EXPERIMENT, {"metadata": metadata, "spec": {"models": models}, "status": status})
    return found


def _stage_status(stage: FrozenStage) -> dict[str, Any]:
    if stage.kind is Kind.EVALUATE:
        return {"state": "Succeeded", "scores": {"xnli": {"accuracy": {"en": "1"}}}}
    progress = {"attempt": 1, "percent": 50, "estimatedRemainingSeconds": 60}
    return {"state": "Active", "attempt": {"number": 1, "experiment": "e"}, "progress": progress}


def exposed() -> Mapping[str, set[str]]:
    """Metric -> its labels, of a registry in which everything has happened once."""
    return {
        sample.name: set(sample.labels)
        for family in everything(_cache()).collect()
        for sample in family.samples
    }


def selectors(expression: str) -> list[tuple[str, str]]:
    """The metrics of an expression, each with its matchers."""
    return re.findall(r"\b((?:xstilts|process)_\w+)(?:\{([^}]*)\})?", expression)
