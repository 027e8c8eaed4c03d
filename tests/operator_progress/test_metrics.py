"""What Prometheus scrapes: from the resources' state, within bounds, by its own conventions."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from operator_progress.exposing import everything
from xstilts_operator.actions import Resource
from xstilts_operator.cache import Cache
from xstilts_operator.metrics.endpoint import serve_metrics
from xstilts_operator.metrics.state import StateCollector

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def experiment(name: str, status: Any, *, created: str = "2026-11-24T12:00:00Z") -> dict[str, Any]:
    metadata = {
        "namespace": "research",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": created,
    }
    return {"metadata": metadata, "spec": {}, "status": status}


def stage(name: str, kind: Any, status: Any) -> dict[str, Any]:
    metadata = {"namespace": "research", "name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": {**metadata, "labels": {"xstilts.dev/kind": kind}}, "spec": {}, "status": status}


def result(model: str = "xlm-r", **changes: Any) -> dict[str, Any]:
    return {"model": model, "intermediate": "mnli", "target": "xnli", "score": "74.25", "seeds": 2, **changes}


def scraped(*collectors: Any) -> str:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


def series(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.fixture
def cache() -> Cache:
    known = Cache()
    status = {
        "conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running"}],
        "progressPercent": 40,
        "gpuHours": {"spent": "12.50", "saved": "3.00"},
        "results": [result(delta="1.50", gap="9.00"), result("mt5", score="70.00")],
    }
    known.upsert(Resource.EXPERIMENT, experiment("sizes", status))
    known.upsert(Resource.EXPERIMENT, experiment("new", {}))
    for name, kind, state in (
        ("a", "train", "Active"),
        ("b", "train", "Active"),
        ("c", "evaluate", "Pending"),
    ):
        known.upsert(Resource.STAGE, stage(name, kind, {"state": state}))
    known.upsert(Resource.STAGE, stage("d", "train", {}))
    return known


def test_state_of_the_resources(cache: Cache) -> None:
    found = series(scraped(StateCollector(cache)))
    cell = {
        "namespace": "research",
        "experiment": "sizes",
        "model": "xlm-r",
        "intermediate": "mnli",
        "target": "xnli",
    }
    mine = {"namespace": "research", "experiment": "sizes"}
    assert found[at("xstilts_experiment_score", **cell)] == 74.25
    assert found[at("xstilts_experiment_score", **{**cell, "model": "mt5"})] == 70.0
    assert found[at("xstilts_experiment_delta", **cell)] == 1.5
    assert at("xstilts_experiment_delta", **{**cell, "model": "mt5"}) not in found
    assert found[at("xstilts_experiment_transfer_gap", **cell)] == 9.0
    assert found[at("xstilts_experiment_progress_ratio", **mine)] == 0.4
    assert found[at("xstilts_experiment_gpu_spent_seconds", **mine)] == 45_000
    assert found[at("xstilts_experiment_gpu_saved_seconds", **mine)] == 10_800
    assert found[at("xstilts_experiments", namespace="research", succeeded="Unknown", reason="Running")] == 1
    assert found[at("xstilts_experiments", namespace="research", succeeded="Unknown", reason="")] == 1
    for kind, state, count in (("train", "Active", 2), ("train", "Pending", 1), ("evaluate", "Pending", 1)):
        assert found[at("xstilts_stages", namespace="research", kind=kind, state=state)] == count
    assert found[at("xstilts_dropped_series", metric="xstilts_experiment_score")] == 0


def test_an_experiment_that_is_gone_leaves_no_series(cache: Cache) -> None:
    cache.delete(Resource.EXPERIMENT, experiment("sizes", {}))
    assert 'experiment="sizes"' not in scraped(StateCollector(cache))


def test_series_are_bounded_and_the_newest_experiments_stay() -> None:
    known = Cache()
    for index in range(20):
        results = [result(f"m{model}") for model in range(10)]
        created = f"2026-11-24T12:00:{index:02}Z"
        known.upsert(Resource.EXPERIMENT, experiment(f"e{index}", {"results": results}, created=created))
    found = series(scraped(StateCollector(known, series=25)))
    scores = [dict(labels)["experiment"] for name, labels in found if name == "xstilts_experiment_score"]
    assert len(scores) == 25
    assert set(scores) == {"e19", "e18", "e17"}
    assert found[at("xstilts_dropped_series", metric="xstilts_experiment_score")] == 175


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["1e999", "-1", "NaN", "7.5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_RESULT = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("model", "intermediate", "target", "score", "delta", "gap"), _JUNK)
)
_STATUS = _JUNK | st.fixed_dictionaries(
    {},
    optional={
        "results": _JUNK | st.lists(_RESULT | st.just(result()), max_size=4),
        "gpuHours": _JUNK | st.fixed_dictionaries({"spent": _JUNK, "saved": _JUNK}),
        "progressPercent": _JUNK,
        "conditions": _JUNK | st.just([{"type": "Succeeded", "status": 1, "reason": []}]),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_STATUS, _JUNK, _JUNK)
def test_whatever_somebody_wrote_by_hand_can_be_scraped(status: Any, state: Any, kind: Any) -> None:
    known = Cache()
    known.upsert(Resource.EXPERIMENT, experiment("poison", status))
    known.upsert(Resource.EXPERIMENT, experiment("sizes", {"results": [result()]}))
    known.upsert(Resource.STAGE, stage("poison", kind, {"state": state}))
    found = series(scraped(StateCollector(known)))
    assert any(
        ("experiment", "sizes") in labels for name, labels in found if name == "xstilts_experiment_score"
    )


def test_the_operators_own_work(cache: Cache) -> None:
    found = series(generate_latest(everything(cache)).decode())
    assert found[at("xstilts_workqueue_adds_total")] == 1
    assert found[at("xstilts_workqueue_depth")] == 0
    assert found[at("xstilts_workqueue_retries_total")] == 1
    assert found[at("xstilts_workqueue_queue_duration_seconds_bucket", le="0.025")] == 1
    assert found[at("xstilts_workqueue_work_duration_seconds_sum")] == 0.3
    assert found[at("xstilts_reconcile_total", kind="TransferStage", outcome="done")] == 1
    assert found[at("xstilts_reconcile_duration_seconds_count", kind="TransferStage")] == 1
    assert found[at("xstilts_list_untold_changes_total", kind="Job")] == 2
    assert found[at("xstilts_api_requests_total", verb="create", resource="jobs", code="409")] == 1
    assert found[at("xstilts_api_request_duration_seconds_count", verb="create")] == 2
    assert found[at("xstilts_watch_age_seconds", kind="Job")] == 12.5
    assert found[at("xstilts_workqueue_oldest_key_seconds")] == 0.25
    assert found[at("xstilts_progress_reports_total", code="200")] == 1
    assert found[at("xstilts_progress_pending_reports")] == 7
    ((_, build),) = [key for key in found if key[0] == "xstilts_build_info"]
    assert dict(build)["version"] == "0.1.0"
    assert not any(name.endswith("_created") for name, _ in found)


@pytest.mark.slow
def test_promtool_finds_no_fault(cache: Cache, promtool: Path) -> None:
    text = generate_latest(everything(cache))
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr.decode(), checked.stdout.decode()) == (0, "", "")


@pytest.mark.slow
def test_the_endpoint_serves_both_formats(cache: Cache) -> None:
    async def scenario() -> None:
        runner = await serve_metrics(everything(cache), "127.0.0.1", 0)
        ((host, port),) = runner.addresses
        try:
            async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
                async with client.get("/metrics") as answer:
                    assert answer.status == 200
                    assert answer.content_type == "text/plain"
                    assert at("xstilts_workqueue_adds_total") in series(await answer.text())
                accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
                async with client.get("/metrics", headers=accept) as answer:
                    assert answer.content_type == "application/openmetrics-text"
                    assert (await answer.text()).endswith("# EOF\n")
                async with client.get("/") as answer:
                    assert answer.status == 404
        finally:
            await runner.cleanup()

    asyncio.run(scenario())
