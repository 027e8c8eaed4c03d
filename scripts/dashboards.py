"""Grafana's dashboards of the chart, in its classic JSON: what experiments have found, and how the operator fares.

`scripts/chart_files.py` writes them. A panel is a row of `_EXPERIMENTS` or `_OPERATOR`: title, description, queries, unit, look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Object = dict[str, Any]

_WIDTH: Final = 24  # of Grafana's grid
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_CHOSEN: Final = 'namespace=~"$namespace", experiment=~"$experiment"'


@dataclass(frozen=True)
class Panel:
    """One panel. `queries` maps a legend to an expression; `width` and `height` are in cells of the grid."""

    title: str
    description: str
    queries: Mapping[str, str]
    unit: str
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    more: Mapping[str, Any] = field(default_factory=dict)


def _matrix(rows: str, columns: str) -> Object:
    """A table with a row a value of one label and a column a value of another, coloured around zero."""
    return {
        "transformations": [
            {
                "id": "groupingToMatrix",
                "options": {
                    "rowField": rows,
                    "columnField": columns,
                    "valueField": "Value",
                    "emptyValue": "empty",
                },
            },
        ]
    }


_LAST: Final = {"reduceOptions": {"calcs": ["lastNotNull"]}}


def _bars(mode: str) -> Object:
    """Options of bars that lie, as long as the last values."""
    return {"orientation": "horizontal", "displayMode": mode, **_LAST}


_COLOURED: Final = {
    "color": {"mode": "thresholds"},
    "custom": {"cellOptions": {"type": "color-background", "mode": "basic"}},
    "thresholds": {
        "mode": "absolute",
        "steps": [
            {"color": "red", "value": None},
            {"color": "transparent", "value": -0.5},
            {"color": "green", "value": 0.5},
        ],
    },
}

_EXPERIMENTS: Final = (
    Panel(
        "Experiments",
        "How many there are, by the reason that their condition Succeeded gives.",
        {"{{reason}}": 'sum by (reason) (xstilts_experiments{namespace=~"$namespace"})'},
        "short",
        "bargauge",
        more={"options": _bars("gradient")},
    ),
    Panel(
        "Progress",
        "How far each experiment is.",
        {"{{experiment}}": f"xstilts_experiment_progress_ratio{{{_CHOSEN}}}"},
        "percentunit",
        "bargauge",
        more={
            "options": _bars("gradient"),
            "defaults": {"min": 0, "max": 1},
        },
    ),
    Panel(
        "Delta by intermediate and target",
        "Points above or below the same model with no intermediate task, as the mean over the models and experiments that "
        "are chosen. Half a point to either side is left white; it is no test of significance.",
        {"": f'avg by (intermediate, target) (xstilts_experiment_delta{{{_CHOSEN}, intermediate!="none"}})'},
        "none",
        "table",
        width=24,
        height=9,
        more={**_matrix("intermediate", "target"), "defaults": {**_COLOURED, "decimals": 1}},
    ),
    Panel(
        "Transfer gap by model",
        "English score minus the mean of the other languages, over targets: smaller is more robust.",
        {
            "{{model}} · {{intermediate}}": f"avg by (model, intermediate) (xstilts_experiment_transfer_gap{{{_CHOSEN}}})"
        },
        "none",
        "bargauge",
        more={"options": _bars("basic")},
    ),
    Panel(
        "Score by model and target",
        "Mean over languages and seeds, in points of the target's own metric.",
        {"": f"avg by (model, intermediate, target) (xstilts_experiment_score{{{_CHOSEN}}})"},
        "none",
        "table",
        more={
            "defaults": {"decimals": 1},
            "transformations": [{"id": "organize", "options": {"excludeByName": {"Time": True}}}],
        },
    ),
    Panel(
        "Stages",
        "Stages by what they do and where they stand.",
        {"{{kind}} {{state}}": 'sum by (kind, state) (xstilts_stages{namespace=~"$namespace"})'},
        "short",
        more={"defaults": {"custom": {"stacking": {"mode": "normal"}, "fillOpacity": 40}}},
    ),
    Panel(
        "GPU time",
        "What experiments have paid for, and what they have not needed, as the store or another experiment had it.",
        {
            "spent": f"sum(xstilts_experiment_gpu_spent_seconds{{{_CHOSEN}}})",
            "saved": f"sum(xstilts_experiment_gpu_saved_seconds{{{_CHOSEN}}})",
        },
        "s",
    ),
)
_OPERATOR: Final = (
    Panel(
        "Version",
        "What runs.",
        {"{{version}}, Python {{python}}, kopf {{kopf}}": "xstilts_build_info"},
        "short",
        "stat",
        width=8,
        height=4,
        more={"options": {"textMode": "name", **_LAST}},
    ),
    Panel(
        "Oldest key",
        "For how long the experiment or stage that has waited longest has waited.",
        {"oldest": "max(xstilts_workqueue_oldest_key_seconds)"},
        "s",
        "stat",
        width=8,
        height=4,
    ),
    Panel(
        "Series left out",
        "Series that metrics leave out because there are too many.",
        {"{{metric}}": "max by (metric) (xstilts_dropped_series) > 0"},
        "short",
        "stat",
        width=8,
        height=4,
    ),
    Panel(
        "Queue",
        "Keys that wait for a worker; what came to wait, and what failed and comes again, a second.",
        {
            "depth": "sum(xstilts_workqueue_depth)",
            "adds": "sum(rate(xstilts_workqueue_adds_total[$__rate_interval]))",
            "retries": "sum(rate(xstilts_workqueue_retries_total[$__rate_interval]))",
        },
        "short",
    ),
    Panel(
        "Time in the queue",
        "99 of 100 keys waited for a worker, and were worked on, for no longer.",
        {
            "waits": "histogram_quantile(0.99, sum by (le) (rate(xstilts_workqueue_queue_duration_seconds_bucket[$__rate_interval])))",
            "work": "histogram_quantile(0.99, sum by (le) (rate(xstilts_workqueue_work_duration_seconds_bucket[$__rate_interval])))",
        },
        "s",
    ),
    Panel(
        "Decisions",
        "Decisions a second by how they ended. `broken` is a fault of the operator; `overtaken` is not: somebody else wrote first.",
        {"{{kind}} {{outcome}}": "sum by (kind, outcome) (rate(xstilts_reconcile_total[$__rate_interval]))"},
        "ops",
    ),
    Panel(
        "Time of a decision",
        "99 of 100 decisions, with what they did, took no longer.",
        {
            "{{kind}}": "histogram_quantile(0.99, sum by (kind, le) (rate(xstilts_reconcile_duration_seconds_bucket[$__rate_interval])))"
        },
        "s",
    ),
    Panel(
        "Requests to the API server",
        "A second, by status; `lost` had no answer.",
        {"{{verb}} {{code}}": "sum by (verb, code) (rate(xstilts_api_requests_total[$__rate_interval]))"},
        "reqps",
    ),
    Panel(
        "Time of a request",
        "99 of 100 requests took no longer.",
        {
            "{{verb}}": "histogram_quantile(0.99, sum by (verb, le) (rate(xstilts_api_request_duration_seconds_bucket[$__rate_interval])))"
        },
        "s",
    ),
    Panel(
        "Watches",
        "How long each watch has told nothing. A quiet namespace has quiet watches; what a list finds that no watch told is the "
        "sign of a dead one.",
        {"{{kind}}": "max by (kind) (xstilts_watch_age_seconds)"},
        "s",
    ),
    Panel(
        "Full lists",
        "Lists that came in, and changes in them that no watch had told, a second.",
        {
            "{{kind}} lists": "sum by (kind) (rate(xstilts_lists_total[$__rate_interval]))",
            "{{kind}} untold": "sum by (kind) (rate(xstilts_list_untold_changes_total[$__rate_interval]))",
        },
        "ops",
    ),
    Panel(
        "Reports of progress",
        "Reports a second by the status of their answer, and what became of their write.",
        {
            "HTTP {{code}}": "sum by (code) (rate(xstilts_progress_reports_total[$__rate_interval]))",
            "{{outcome}}": "sum by (outcome) (rate(xstilts_progress_writes_total[$__rate_interval]))",
        },
        "ops",
    ),
    Panel(
        "Reports that wait",
        "Stages whose last report waits to be written.",
        {"waiting": "sum(xstilts_progress_pending_reports)"},
        "short",
    ),
)


def dashboards() -> dict[str, str]:
    """File name -> its text."""
    made = {
        "xstilts-experiments": _dashboard(
            "xstilts-experiments", "xstilts: experiments", _EXPERIMENTS, chosen=True
        ),
        "xstilts-operator": _dashboard("xstilts-operator", "xstilts: the operator", _OPERATOR),
    }
    return {
        f"{name}.json": json.dumps(one, indent=1, ensure_ascii=False) + "\n" for name, one in made.items()
    }


def _dashboard(uid: str, title: str, panels: Sequence[Panel], *, chosen: bool = False) -> Object:
    variables: list[Object] = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    ]
    if chosen:
        variables += [
            _variable("namespace", "Namespace", "label_values(xstilts_experiments, namespace)"),
            _variable(
                "experiment",
                "Experiment",
                'label_values(xstilts_experiment_progress_ratio{namespace=~"$namespace"}, experiment)',
            ),
        ]
    return {
        "uid": uid,
        "title": title,
        "tags": ["xstilts"],
        "schemaVersion": 39,
        "editable": False,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": variables},
        "panels": list(_placed(panels)),
    }


def _variable(name: str, label: str, query: str) -> Object:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(panels: Sequence[Panel]) -> Iterator[Object]:
    """The panels from left to right; one that does not fit begins a new line."""
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": panel.height})
        x, tallest = x + panel.width, max(tallest, panel.height)


def _panel(panel: Panel, number: int, position: Object) -> Object:
    at_once = panel.kind in {"table", "bargauge"}
    made: Object = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.more.get("defaults", {})}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": at_once,
                "range": not at_once,
                **({"format": "table"} if panel.kind == "table" else {}),
            }
            for index, (legend, expression) in enumerate(panel.queries.items())
        ],
    }
    return made | {key: value for key, value in panel.more.items() if key != "defaults"}
