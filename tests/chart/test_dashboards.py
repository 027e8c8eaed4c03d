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
_UNITS = {"short", "none", "s", "percentunit", "ops", "reqps"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_what_is_exposed_and_says_what_it_shows(
    panel: Any, exposed: Mapping[str, set[str]]
) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS
    assert panel["targets"]
    for target in panel["targets"]:
        labels: set[str] = set()
        assert selectors(target["expr"])
        for metric, matchers in selectors(target["expr"]):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= exposed[metric]
            labels |= exposed[metric]
        for grouped in re.findall(r"\bby \(([^)]*)\)", target["expr"]):
            labels_grouped = {label.strip() for label in grouped.split(",")}
            assert labels_grouped <= labels
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels_grouped
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels


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
    """A histogram is shown by its buckets; the process's own metrics are Python's, and the runbooks name what they tell."""
    alerts = (CHART / "files" / "alerts.yaml").read_text()
    shown = {metric for text in (*FILES.values(), alerts) for metric, _ in selectors(text)}
    parts = {name for name in exposed if name.endswith(("_sum", "_count"))}
    ours = {name for name in exposed if name.startswith("xstilts_")} - parts
    assert ours - shown == set()


@pytest.mark.slow
def test_grafana_finds_them(rendered: Callable[[str], list[Object]]) -> None:
    found: dict[str, str] = {}
    for one in of_kind(rendered("everything"), "ConfigMap"):
        if one["metadata"]["labels"].get("grafana_dashboard") == "1":
            found |= one["data"]
    assert found == FILES
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert defaults["dashboards"] == {"enabled": False, "labels": {"grafana_dashboard": "1"}}
