"""What a dashboard's panel would show: its variables put in, its queries asked, its transformations made.

As much of Grafana as the chart's dashboards use of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.prometheus import SCRAPE_SECONDS, Client, Series

Panel = Mapping[str, Any]
Value = str | float | None

_RATE_SECONDS = 4 * SCRAPE_SECONDS  # what Grafana takes for $__rate_interval at the least
ALL = ".*"


@dataclass(frozen=True)
class Table:
    """Columns and rows, each as long as the columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Line:
    """A series with its name, times and numbers."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Window:
    """When a dashboard is looked at: from `begin` to `end`, which instant queries ask for."""

    begin: float
    end: float


class Board:
    """A dashboard on a Prometheus. `chosen` are variables with a choice of their own; all others are All."""

    def __init__(
        self,
        board: Mapping[str, Any],
        prometheus: Client,
        window: Window,
        chosen: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.title: str = board["title"]
        self._prometheus = prometheus
        self._window = window
        self._variables = {one["name"]: one for one in board["templating"]["list"] if one["type"] == "query"}
        self._given = chosen or {}
        self._chosen = {
            name: "(" + "|".join(map(_escaped, values)) + ")" for name, values in self._given.items()
        }
        self.panels: tuple[Panel, ...] = tuple(
            one for panel in board["panels"] for one in self._repeated(panel)
        )

    def values(self, name: str) -> list[str]:
        """The values that a variable offers."""
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", self._variables[name]["query"]["query"])
        assert asked, name
        return self._prometheus.label_values(
            asked[2], self.put(asked[1]), self._window.begin, self._window.end
        )

    def put(self, text: str) -> str:
        """A query or a title with the variables in it."""
        values = {
            "__rate_interval": f"{_RATE_SECONDS}s",
            **dict.fromkeys(self._variables, ALL),
            **self._chosen,
        }
        return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), text)

    def lines(self, panel: Panel) -> list[Line]:
        """Of a panel that shows a time, or the last numbers of series."""
        found: list[Line] = []
        for target in panel["targets"]:
            expression = self.put(target["expr"])
            if target["instant"]:
                series = [
                    (labels, [(self._window.end, value)])
                    for labels, value in self._prometheus.at(expression, self._window.end)
                ]
            else:
                series = self._prometheus.during(expression, self._window.begin, self._window.end)
            for labels, points in series:
                finite = tuple((at, value) for at, value in points if math.isfinite(value))
                found += [Line(_legend(target["legendFormat"], labels), finite)] if finite else []
        return found

    def table(self, panel: Panel) -> Table:
        """Of a table or a bar chart, with its transformations made."""
        table = _merged([self._answer(panel, target) for target in panel["targets"]])
        for one in panel["transformations"]:
            table = _TRANSFORMATIONS[one["id"]](table, one["options"])
        return table

    def _answer(self, panel: Panel, target: Mapping[str, Any]) -> list[dict[str, Value]]:
        value = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
        answer = self._prometheus.at(self.put(target["expr"]), self._window.end)
        return [{**labels, value: number} for labels, number in answer]

    def _repeated(self, panel: Panel) -> Iterator[Panel]:
        """The panel, or one for each value of the variable that it is repeated for, with that value put in."""
        name = panel.get("repeat")
        if name is None:
            yield panel
            return
        for value in self.values(name):
            if value in self._given.get(name, (value,)):
                put = {**panel, "title": panel["title"].replace(f"${name}", value)}
                yield put | {
                    "targets": [
                        {**one, "expr": one["expr"].replace(f"${name}", _escaped(value))}
                        for one in panel["targets"]
                    ]
                }


def _merged(answers: Sequence[Sequence[Mapping[str, Value]]]) -> Table:
    """Rows with the same labels become one."""
    rows: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}
    for row in (row for answer in answers for row in answer):
        labels = {name: value for name, value in row.items() if not name.startswith("Value")}
        rows.setdefault(tuple(sorted(labels.items())), {}).update(row)
    columns = tuple(dict.fromkeys(name for row in rows.values() for name in row))
    return Table(columns, tuple(tuple(row.get(name) for name in columns) for row in rows.values()))


def _matrix(table: Table, options: Mapping[str, Any]) -> Table:
    rows, columns, values = (
        table.columns.index(options[name]) for name in ("rowField", "columnField", "valueField")
    )
    cells = {(row[rows], row[columns]): row[values] for row in table.rows}
    above = sorted({str(column) for _, column in cells})
    beside = sorted({str(row) for row, _ in cells})
    return Table(
        (f"{options['rowField']}\\{options['columnField']}", *above),
        tuple((row, *(cells.get((row, column)) for column in above)) for row in beside),
    )


def _sorted(table: Table, options: Mapping[str, Any]) -> Table:
    (by,) = options["sort"]
    if by["field"] not in table.columns:
        return table
    at = table.columns.index(by["field"])
    there = [row for row in table.rows if row[at] is not None]
    there.sort(key=lambda row: row[at], reverse=by["desc"])  # type: ignore[arg-type, return-value]  # of one kind
    return Table(table.columns, (*there, *(row for row in table.rows if row[at] is None)))


def _filtered(table: Table, options: Mapping[str, Any]) -> Table:
    kept = [index for index, name in enumerate(table.columns) if name in options["include"]["names"]]
    return _picked(table, kept)


def _organized(table: Table, options: Mapping[str, Any]) -> Table:
    order = sorted(
        range(len(table.columns)), key=lambda index: options["indexByName"].get(table.columns[index], 99)
    )
    found = _picked(table, order)
    return Table(tuple(options["renameByName"].get(name, name) for name in found.columns), found.rows)


def _picked(table: Table, indexes: Sequence[int]) -> Table:
    return Table(
        tuple(table.columns[index] for index in indexes),
        tuple(tuple(row[index] for index in indexes) for row in table.rows),
    )


_TRANSFORMATIONS = {
    "merge": lambda table, _: table,
    "groupingToMatrix": _matrix,
    "sortBy": _sorted,
    "filterFieldsByName": _filtered,
    "organize": _organized,
}


def _escaped(value: str) -> str:
    """In a pattern in a query's string, as Grafana writes it."""
    return re.sub(r"[\\^$*+?.()|{}\[\]/]", r"\\\\\g<0>", value)


def _legend(text: str, labels: Series) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), text)
