"""Metrics of the operator's own work: queue, decisions, API calls, watches, reports. Names as controller-runtime's."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from itertools import product
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from xstilts_operator.actions import Resource

# A series that is first seen at 1 has not grown for `increase()`: so those that an alert or a rate asks for are there at 0.
_RECONCILED: Final = (Resource.EXPERIMENT, Resource.STAGE)
_OUTCOMES: Final = ("done", "overtaken", "failed", "broken")
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Instruments:
    """Counts what it is told, as the observer of the queue, the controller, the API client and the progress server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types; else each counter is two series
        ProcessCollector(registry=registry)
        self._registry = registry
        self._depth = Gauge("xstilts_workqueue_depth", "Keys that wait for a worker.", registry=registry)
        self._adds = Counter("xstilts_workqueue_adds_total", "Keys that came to wait.", registry=registry)
        self._retries = Counter(
            "xstilts_workqueue_retries_total", "Keys that failed and come again.", registry=registry
        )
        self._waited = Histogram(
            "xstilts_workqueue_queue_duration_seconds",
            "How long a key waited for a worker.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._worked = Histogram(
            "xstilts_workqueue_work_duration_seconds",
            "How long a worker had a key.",
            registry=registry,
            buckets=_SECONDS,
        )
        self._reconciled = Counter(
            "xstilts_reconcile_total",
            "Decisions by kind of object and outcome.",
            ["kind", "outcome"],
            registry=registry,
        )
        for kind, outcome in product(_RECONCILED, _OUTCOMES):
            self._reconciled.labels(kind.value, outcome)
        self._reconcile = Histogram(
            "xstilts_reconcile_duration_seconds",
            "How long a decision and what it did took.",
            ["kind"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._lists = Counter("xstilts_lists_total", "Full lists that came in.", ["kind"], registry=registry)
        self._untold = Counter(
            "xstilts_list_untold_changes_total",
            "Changes that a full list has found and no watch had told.",
            ["kind"],
            registry=registry,
        )
        self._calls = Counter(
            "xstilts_api_requests_total",
            "Requests to the API server by verb, resource and HTTP status; code lost: no answer came.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._call = Histogram(
            "xstilts_api_request_duration_seconds",
            "How long the API server took to answer.",
            ["verb"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._answers = Counter(
            "xstilts_progress_reports_total",
            "Reports of progress by HTTP status of the answer.",
            ["code"],
            registry=registry,
        )
        self._answers.labels(str(HTTPStatus.OK.value))
        self._writes = Counter(
            "xstilts_progress_writes_total",
            "Reports by what became of their write: written, outdated or failed.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("written", "outdated", "failed"):
            self._writes.labels(outcome)
        build = Gauge(
            "xstilts_build_info",
            "Always 1; the labels say what runs.",
            ["version", "python", "kopf"],
            registry=registry,
        )
        build.labels(version("xstilts-operator"), platform.python_version(), version("kopf")).set(1)

    # -- the queue ------------------------------------------------------------------------------------------------

    def added(self, depth: int) -> None:
        """A key has come; so many are waiting."""
        self._adds.inc()
        self._depth.set(depth)

    def started(self, waited: float, depth: int) -> None:
        """A worker has taken a key that had waited so many seconds."""
        self._waited.observe(waited)
        self._depth.set(depth)

    def finished(self, worked: float) -> None:
        """A worker is done with a key after so many seconds."""
        self._worked.observe(worked)

    def retried(self) -> None:
        """A key has failed and will come again."""
        self._retries.inc()

    # -- the controller -------------------------------------------------------------------------------------------

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """A key has been looked at and its decision carried out, or not."""
        self._reconciled.labels(kind, outcome).inc()
        self._reconcile.labels(kind).observe(seconds)

    def listed(self, kind: str, found: int) -> None:
        """A full list has come in, with so many things that no watch had told."""
        self._lists.labels(kind).inc()
        self._untold.labels(kind).inc(found)

    # -- the API server -------------------------------------------------------------------------------------------

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A call has been answered with an HTTP status, or `lost`."""
        self._calls.labels(verb, resource, code).inc()
        self._call.labels(verb).observe(seconds)

    # -- the progress server --------------------------------------------------------------------------------------

    def progress_answered(self, code: int) -> None:
        """A report has been answered with an HTTP status."""
        self._answers.labels(str(code)).inc()

    def progress_written(self, outcome: str) -> None:
        """A report has been written, or was outdated by then, or has failed."""
        self._writes.labels(outcome).inc()

    def progress_pending(self, pending: Callable[[], int]) -> None:
        """How many stages' reports wait to be written, at any time."""
        gauge = Gauge(
            "xstilts_progress_pending_reports",
            "Stages whose last report waits to be written.",
            registry=self._registry,
        )
        gauge.set_function(pending)


class AgeCollector(Collector):
    """How long nothing has come from the watches, and how long the oldest key is in the queue; read at a scrape."""

    def __init__(self, watches: Callable[[], Mapping[Resource, float]], oldest: Callable[[], float]) -> None:
        self._watches = watches
        self._oldest = oldest

    def describe(self) -> Iterable[Metric]:
        """Nothing: ages are of the event loop, which may not run at the registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The ages, in seconds."""
        age = GaugeMetricFamily(
            "xstilts_watch_age_seconds", "Time since a watch has told something.", labels=["kind"]
        )
        for resource, seconds in self._watches().items():
            age.add_metric([resource.value], seconds)
        yield age
        yield GaugeMetricFamily(
            "xstilts_workqueue_oldest_key_seconds",
            "Time for which the oldest key has waited or been worked on.",
            value=self._oldest(),
        )
