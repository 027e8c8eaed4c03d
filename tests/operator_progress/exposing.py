"""What the operator registers for Prometheus, put together as it does it; the reference of metrics is made of it too."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.metrics.instruments import AgeCollector, Instruments
from xstilts_operator.metrics.state import StateCollector


def everything(cache: Cache) -> CollectorRegistry:
    """All that the operator registers, with something in each."""
    registry = CollectorRegistry()
    told = Instruments(registry)
    told.added(1)
    told.started(0.02, 0)
    told.finished(0.3)
    told.retried()
    told.reconciled("TransferStage", "done", 0.3)
    told.listed("Job", 2)
    told.called("create", "jobs", "201", 0.004)
    told.called("create", "jobs", "409", 0.004)
    told.called("list", "pods", "lost", 30.0)
    told.progress_answered(200)
    told.progress_written("written")
    told.progress_pending(lambda: 7)
    registry.register(StateCollector(cache))
    registry.register(AgeCollector(lambda: {Resource.JOB: 12.5}, lambda: 0.25))
    return registry
