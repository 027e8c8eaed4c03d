"""Panels as Grafana's classic dashboard JSON has them: what is drawn of which queries, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Object = dict[str, Any]

_TAG: Final = "xstilts"
_WIDTH: Final = 24  # of Grafana's grid
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_AT_ONCE: Final = {"table", "bargauge", "barchart"}  # they show the last values, and not a time
_AS_TABLE: Final = {"table", "barchart"}
_LAST: Final = {"reduceOptions": {"calcs": ["lastNotNull"]}}
_OPTIONS: Final[Mapping[str, Object]] = {
    "stat": _LAST,
    "bargauge": {"orientation": "horizontal", "displayMode": "basic", **_LAST},
    "barchart": {
        "orientation": "vertical",
        "showValue": "never",
        "xTickLabelRotation": 0,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi"},
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}
# Where nothing is said, Grafana makes every number from 80 on red.
_DEFAULTS: Final[Mapping[str, Object]] = {
    "stat": {"color": {"mode": "fixed", "fixedColor": "text"}},
    "bargauge": {"color": {"mode": "fixed", "fixedColor": "blue"}},
}
# Words have no threshold, and would get the colour of the lowest.
_PLAIN_WORDS: Final = {
    "matcher": {"id": "byType", "options": "string"},
    "properties": [{"id": "custom.cellOptions", "value": {"type": "auto"}}],
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: what Grafana calls it: a label, or `Value #A` of the query A.
        title: what stands above it; else its name.
        unit: of its numbers; else the panel's.
        bar: drawn as a bar from 0 to 1.
    """

    name: str
    title: str = ""
    unit: str = ""
    bar: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title, description: for people.
        queries: legend -> expression. The first is Grafana's A.
        unit: of its numbers.
        kind: Grafana's type of panel.
        width, height: in cells of the grid.
        columns: of a table or a bar chart of several queries, from left to right; what is not named is left out.
        matrix: two labels: a row a value of the first, a column a value of the second, of one query.
        sort: the column by which rows are sorted before columns are left out; with a minus the largest first.
        repeat: a variable: the panel comes once for each of its values.
        colours: series -> colour.
        defaults, options: what else Grafana is told.
    """

    title: str
    description: str
    queries: Mapping[str, str]
    unit: str
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    columns: tuple[Column, ...] = ()
    matrix: tuple[str, str] | None = None
    sort: str = ""
    repeat: str = ""
    colours: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Variable:
    """A choice above a dashboard, of several or all values that a label has. `query` is Grafana's label_values."""

    name: str
    label: str
    query: str


def steps(lowest: str, **reached: float) -> Object:
    """Defaults of a panel whose colour is the lowest, and another from a number on: colour=number, in their order."""
    colours: dict[str, float | None] = {lowest: None, **reached}
    thresholds = [{"color": colour, "value": number} for colour, number in colours.items()]
    return {
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": thresholds},
    }


def dashboard(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[Variable]) -> Object:
    """A dashboard of these panels, with a choice of the data source, that links to the others."""
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": [_TAG],
        "schemaVersion": 39,
        "editable": False,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "links": [
            {
                "type": "dashboards",
                "title": "Other dashboards",
                "tags": [_TAG],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [source, *map(_variable, variables)]},
        "panels": list(_placed(panels)),
    }


def _variable(one: Variable) -> Object:
    return {
        "name": one.name,
        "label": one.label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": one.query, "refId": one.name},
        "definition": one.query,
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
    at_once = panel.kind in _AT_ONCE
    made: Object = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, **_DEFAULTS.get(panel.kind, {}), **panel.defaults},
            "overrides": [
                *([_PLAIN_WORDS] if panel.matrix else []),
                *_of_columns(panel),
                *_of_colours(panel),
            ],
        },
        "options": {**_OPTIONS.get(panel.kind, {}), **panel.options},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "instant": at_once,
                "range": not at_once,
                **({"format": "table"} if panel.kind in _AS_TABLE else {}),
            }
            for index, (legend, expression) in enumerate(panel.queries.items())
        ],
        "transformations": list(_transformations(panel)),
    }
    return made | ({"repeat": panel.repeat, "repeatDirection": "h", "maxPerRow": 2} if panel.repeat else {})


def _transformations(panel: Panel) -> Iterator[Object]:
    if panel.matrix:
        rows, columns = panel.matrix
        options = {"rowField": rows, "columnField": columns, "valueField": "Value", "emptyValue": "null"}
        yield {"id": "groupingToMatrix", "options": options}
    elif panel.columns:
        if len(panel.queries) > 1:
            yield {"id": "merge", "options": {}}
        if panel.sort:
            by = {"field": panel.sort.removeprefix("-"), "desc": panel.sort.startswith("-")}
            yield {"id": "sortBy", "options": {"fields": {}, "sort": [by]}}
        names = [column.name for column in panel.columns]
        yield {"id": "filterFieldsByName", "options": {"include": {"names": names}}}
        yield {
            "id": "organize",
            "options": {
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": {column.name: column.title for column in panel.columns if column.title},
            },
        }


def _of_columns(panel: Panel) -> Iterator[Object]:
    for column in panel.columns:
        said: list[Object] = []
        if column.unit:
            said.append({"id": "unit", "value": column.unit})
        if column.bar:
            said += [
                {"id": "min", "value": 0},
                {"id": "max", "value": 1},
                {"id": "color", "value": {"mode": "fixed", "fixedColor": "blue"}},
                {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic"}},
            ]
        if said:
            yield {"matcher": {"id": "byName", "options": column.title or column.name}, "properties": said}


def _of_colours(panel: Panel) -> Iterator[Object]:
    for name, colour in panel.colours.items():
        fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
        yield {"matcher": {"id": "byName", "options": name}, "properties": [fixed]}
