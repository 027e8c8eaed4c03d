"""The dashboards: they ask for what the operator exposes, and leave nothing of it out; each panel says what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pytest
import yaml

from chart.exposed import selectors
from chart.rendering import CHART, Object, of_kind

FILES = {path.name: path.read_text() for path in sorted((CHART / "files" / "dashboards").glob("*.json"))}
DASHBOARDS: Mapping[str, Any] = {name: json.loads(text) for name, text in FILES.items()}
PANELS = [
    pytest.param(panel, id=f"{board['uid']}: {panel['title']}")
    for board in DASHBOARDS.values()
    for panel in board["panels"]
]
_UNITS = {"short", "none", "s", "bytes", "percentunit", "ops", "reqps"}
_KINDS = {"barchart", "bargauge", "stat", "table", "timeseries"}
_NOT_SHOWN: Mapping[str, str] = {
    "process_virtual_memory_bytes": "address space is no memory: the resident one is shown",
    "process_open_fds": "a leak of connections ends in requests that are lost, which are shown",
    "process_max_fds": "it is the container's, and never changes",
}
# Labels that are no metric's own: those of every target, and those of what Prometheus makes of an alert.
_OF_TARGETS = {"job", "instance"}
_OF_ALERTS = {"alertname", "severity", "alertstate"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_what_is_exposed_and_says_what_it_shows(
    panel: Any, exposed: Mapping[str, set[str]]
) -> None:
    assert panel["type"] in _KINDS
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS
    assert panel["targets"]
    for target in panel["targets"]:
        alerts = "ALERTS{" in target["expr"]
        labels: set[str] = set(_OF_ALERTS if alerts else _OF_TARGETS)
        assert alerts or selectors(target["expr"])
        for metric, matchers in selectors(target["expr"]):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= exposed[metric]
            labels |= exposed[metric]
        for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"]):
            labels_grouped = {label.strip() for label in grouped.split(",")}
            assert labels_grouped <= labels
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


@pytest.mark.parametrize("panel", PANELS)
def test_every_column_is_one_that_the_queries_answer(panel: Any) -> None:
    """A label by which all of them group, or a query's value; a bar chart has one column of words, its first."""
    queries = panel["targets"]
    grouped = [re.findall(r"\bby \(([^)]*)\)", one["expr"]) for one in queries]
    labels = {label.strip() for one in grouped for by in one for label in by.split(",")}
    values = {f"Value #{one['refId']}" for one in queries} if len(queries) > 1 else {"Value"}
    for one in panel["transformations"]:
        options = one["options"]
        match one["id"]:
            case "groupingToMatrix":
                assert len(queries) == 1
                assert {options["rowField"], options["columnField"]} == labels
                assert options["valueField"] in values
            case "sortBy":
                assert {by["field"] for by in options["sort"]} <= labels | values
            case "filterFieldsByName":
                names = options["include"]["names"]
                assert len(names) == len(set(names))
                assert set(names) <= labels | values
                if panel["type"] == "barchart":
                    assert [name in labels for name in names] == [True] + [False] * (len(names) - 1)
            case "organize":
                shown = {options["renameByName"].get(name, name) for name in options["indexByName"]}
                assert not any(name.startswith("Value") for name in shown)
                named = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
                assert set(named) <= shown
            case other:
                assert other == "merge"
                assert len(queries) > 1
    if panel["type"] in {"table", "barchart"}:
        assert panel["transformations"], "its column Time would be shown"


@pytest.mark.parametrize("panel", PANELS)
def test_no_colour_is_left_to_grafana_where_it_would_say_something(panel: Any) -> None:
    """Without thresholds of its own a number from 80 on is red, and words have the colour of the lowest."""
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    if panel["type"] in {"stat", "bargauge"}:
        assert defaults["color"]["mode"] == "fixed" or defaults["thresholds"]["steps"]
    for one in overrides:
        said = {each["id"]: each["value"] for each in one["properties"]}
        if said.get("custom.cellOptions", {}).get("type") == "gauge":
            assert said["color"]["mode"] == "fixed"
    if defaults.get("custom", {}).get("cellOptions", {}).get("type") == "color-background":
        assert {"id": "byType", "options": "string"} in [one["matcher"] for one in overrides]
    steps = [step["value"] for step in defaults.get("thresholds", {}).get("steps", [])]
    assert steps[:1] in ([], [None])
    assert steps[1:] == sorted(steps[1:])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_one_that_grafana_keeps_apart(name: str) -> None:
    board = DASHBOARDS[name]
    assert f"{board['uid']}.json" == name
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", board["uid"])
    numbers = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert len(set(titles)) == len(titles)
    repeated = {panel["repeat"] for panel in board["panels"] if "repeat" in panel}
    assert repeated <= {one["name"] for one in board["templating"]["list"]}
    assert all(f"${one}" in " ".join(titles) for one in repeated)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_query_is_of_the_data_source_that_is_chosen(name: str) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    board = DASHBOARDS[name]
    sources = [panel["datasource"] for panel in board["panels"]]
    sources += [target["datasource"] for panel in board["panels"] for target in panel["targets"]]
    sources += [one["datasource"] for one in board["templating"]["list"] if one["type"] == "query"]
    assert all(source == chosen for source in sources)
    assert [one["name"] for one in board["templating"]["list"] if one["type"] == "datasource"] == [
        "datasource"
    ]
    used = set(re.findall(r"\$(\w+)", FILES[name])) - {"datasource", "__rate_interval", "__all"}
    assert used <= {one["name"] for one in board["templating"]["list"]}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_lies_on_another(name: str) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[name]["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_every_metric_is_shown_or_watched(exposed: Mapping[str, set[str]]) -> None:
    """A histogram is shown by its buckets. Those of `_NOT_SHOWN` are left to whoever looks for them, with the reason."""
    alerts = (CHART / "files" / "alerts.yaml").read_text()
    shown = {metric for text in (*FILES.values(), alerts) for metric, _ in selectors(text)}
    parts = {name for name in exposed if name.endswith(("_sum", "_count"))}
    assert exposed.keys() - parts - shown == _NOT_SHOWN.keys()


@pytest.mark.slow
def test_grafana_finds_them(rendered: Callable[[str], list[Object]]) -> None:
    found: dict[str, str] = {}
    for one in of_kind(rendered("everything"), "ConfigMap"):
        if one["metadata"]["labels"].get("grafana_dashboard") == "1":
            found |= one["data"]
    assert found == FILES
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert defaults["dashboards"] == {"enabled": False, "labels": {"grafana_dashboard": "1"}}
