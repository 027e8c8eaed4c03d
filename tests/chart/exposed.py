"""What the operator exposes to Prometheus, and what queries ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from operator_progress.exposing import everything
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache


def _cache() -> Cache:
    """An experiment with all that metrics are made of, and a stage."""
    found = Cache()
    metadata = {
        "namespace": "team",
        "uid": "1",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    cell = {"model": "m", "intermediate": "i", "target": "t", "score": "1", "delta": "1", "gap": "1"}
    status = {
        "progressPercent": 50,
        "gpuHours": {"spent": "1", "saved": "1"},
        "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Queued"}],
        "results": [cell],
    }
    found.upsert(Resource.EXPERIMENT, {"metadata": {**metadata, "name": "e"}, "status": status})
    found.upsert(
        Resource.STAGE, {"metadata": {**metadata, "uid": "2", "name": "s"}, "status": {"state": "Failed"}}
    )
    return found


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
