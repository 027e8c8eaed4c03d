"""What a report may say, and what the stage's status then has."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts_operator.progress.refusal import RefusedError
from xstilts_operator.progress.report import METRICS, parse_report

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
TIME = "2026-11-24T11:59:58.123456+00:00"


def body(**said: Any) -> bytes:
    return json.dumps({"trainerStatus": {"lastUpdatedTime": TIME, **said}}).encode()


def status(data: bytes) -> dict[str, Any]:
    report = parse_report(data)
    assert report is not None
    return report.status(NOW)


def test_what_transformers_sends() -> None:
    said = {
        "lastUpdatedTime": TIME,
        "progressPercentage": 41,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.6931"}, {"name": "current_step", "value": "41"}],
    }
    assert status(json.dumps({"trainerStatus": said}).encode()) == {
        "percent": 41,
        "estimatedRemainingSeconds": 90,
        "metrics": [{"name": "loss", "value": "0.6931"}, {"name": "current_step", "value": "41"}],
        "lastUpdatedTime": "2026-11-24T11:59:58Z",
    }


def test_everything_but_the_time_may_be_absent() -> None:
    assert status(body()) == {"lastUpdatedTime": "2026-11-24T11:59:58Z"}
    assert parse_report(b"{}") is None
    assert parse_report(b'{"trainerStatus": null, "newer": 1}') is None
    assert status(body(newer={"x": 1})) == {"lastUpdatedTime": "2026-11-24T11:59:58Z"}


def test_a_clock_that_is_ahead() -> None:
    assert status(body(lastUpdatedTime="2031-01-01T00:00:00Z"))["lastUpdatedTime"] == "2026-11-24T12:00:00Z"


def test_metrics_are_bounded_and_named_once() -> None:
    many = [{"name": f"m{index % 50}", "value": str(index)} for index in range(100)]
    kept = status(body(metrics=many))["metrics"]
    assert kept == [{"name": f"m{index}", "value": str(index + 50)} for index in range(METRICS)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"[]",
        b'{"trainerStatus": []}',
        b'{"trainerStatus": {}}',
        b'{"trainerStatus": {"lastUpdatedTime": "2026-11-24T11:59:58Z", ',
        b"[" * 60_000,
        b'{"trainerStatus": ' * 3_000,
        body(lastUpdatedTime="yesterday"),
        body(lastUpdatedTime="2026-11-24T11:59:58"),  # of which zone?
        body(lastUpdatedTime="0001-01-01T00:00:00+14:00"),
        body(progressPercentage=101),
        body(progressPercentage=-1),
        body(progressPercentage="50"),
        body(progressPercentage=50.5),
        body(progressPercentage=True),
        body(estimatedRemainingSeconds=-1),
        body(estimatedRemainingSeconds=2**31),
        body(metrics={"loss": "1"}),
        body(metrics=[{"name": "loss"}]),
        body(metrics=[{"name": "loss", "value": 0.5}]),
        body(metrics=[{"name": "", "value": "0.5"}]),
        body(metrics=[{"name": "n" * 129, "value": "0.5"}]),
        body(metrics=[{"name": "loss", "value": "1" * 65}]),
        body(metrics=[{"name": f"m{index}", "value": "1"} for index in range(257)]),
    ],
)
def test_what_a_report_must_not_say(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_report(data)
    assert caught.value.code == 422
    assert len(str(caught.value)) < 2_000


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_SAID = st.fixed_dictionaries(
    {"lastUpdatedTime": st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | _JSON},
    optional={
        "progressPercentage": st.integers(-5, 105) | _JSON,
        "estimatedRemainingSeconds": st.integers(-5, 2**33) | _JSON,
        "metrics": st.lists(st.fixed_dictionaries({"name": st.text(), "value": st.text()})) | _JSON,
    },
)


@given(_SAID)
def test_any_report_is_bounded_or_refused(said: dict[str, Any]) -> None:
    try:
        report = parse_report(json.dumps({"trainerStatus": said}).encode())
    except RefusedError:
        return
    assert report is not None
    progress = report.status(NOW)
    assert 0 <= progress.get("percent", 0) <= 100
    assert len(progress.get("metrics", ())) <= METRICS
    assert datetime.fromisoformat(progress["lastUpdatedTime"]) <= NOW
