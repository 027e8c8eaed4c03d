"""A dashboard as one picture, without Grafana: its panels on the grid, drawn simply from what Prometheus answers.

    PYTHONPATH=tests python -m monitoring.preview DASHBOARD.json PROMETHEUS_URL PICTURE.png [END [BEGIN]]

END and BEGIN are Unix times; without them it shows the last hour. For whoever changes a dashboard: titles, units, legends and
whether a panel says anything are seen at a glance. Colours, fonts and sorting by a click are Grafana's.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from monitoring.frames import Board, Panel, Table, Value, Window
from monitoring.prometheus import Client

CELL_WIDTH, CELL_HEIGHT = 0.62, 0.42  # inches
_COLOURS = {
    "dark-orange": "#e8590c",
    "light-orange": "#ffd8a8",
    "transparent": "#ffffff",
    "light-blue": "#a5d8ff",
    "dark-blue": "#4dabf7",
    "text": "#868e96",
    "orange": "#fd7e14",
    "blue": "#1c7ed6",
    "green": "#37b24d",
    "red": "#e03131",
}
_GAUGE = "#74c0fc"
_PALETTE = ("#1c7ed6", "#f08c00", "#37b24d", "#ae3ec9", "#e03131", "#0ca678", "#495057", "#e64980")


def draw(board: Board, picture: Path, *, begin: float) -> None:
    """Draw a dashboard into a PNG. Times count from `begin`."""
    placed = list(_placed(board.panels))
    rows = max(place["y"] + place["h"] for _, place in placed)
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 7.5})
    figure = Figure(figsize=(24 * CELL_WIDTH, rows * CELL_HEIGHT + 0.4), dpi=80, facecolor="#f1f3f5")
    height = rows * CELL_HEIGHT + 0.4
    figure.text(0.006, 1 - 0.25 / height, board.title, fontsize=12, fontweight="bold", va="center")
    for panel, place in placed:
        x, width = place["x"] / 24, place["w"] / 24
        top = 1 - (0.4 + place["y"] * CELL_HEIGHT) / height
        tall = place["h"] * CELL_HEIGHT / height
        frame = figure.add_axes((x + 0.003, top - tall + 0.02 / height, width - 0.006, tall - 0.06 / height))
        frame.set(xticks=[], yticks=[], facecolor="white")
        frame.set_title(panel["title"], loc="left", fontsize=8.5, fontweight="bold", y=1, pad=-11, x=0.008)
        drawn_on = panel["type"] in {"timeseries", "barchart"}  # with numbers beside it and a legend below
        side, below = (0.42 / (24 * CELL_WIDTH), 0.5 / height) if drawn_on else (0.0, 0.15 / height)
        inner = figure.add_axes(
            (x + 0.008 + side, top - tall + below, width - 0.016 - side, tall - below - 0.36 / height)
        )
        _DRAWERS[panel["type"]](inner, board, panel, begin)
    figure.savefig(picture, pil_kwargs={"optimize": True})


def _placed(panels: Sequence[Panel]) -> Iterator[tuple[Panel, Mapping[str, int]]]:
    """Each panel with its place: those that are repeated stand beside each other, and push down what comes after."""
    pushed, repeated = 0, 0
    for panel in panels:
        place = dict(panel["gridPos"])
        if "repeat" in panel:
            wide = 24 // panel["maxPerRow"]
            beside = repeated % panel["maxPerRow"]
            pushed += place["h"] if repeated and beside == 0 else 0
            place |= {"x": beside * wide, "w": wide}
            repeated += 1
        place["y"] += pushed
        yield panel, place


def said(value: float, unit: str, decimals: int | None = None) -> str:
    """A number in its unit, for people."""
    match unit:
        case "percentunit":
            return f"{100 * value:.0f} %"
        case "bytes":
            return f"{value / 2**20:.0f} MiB"
        case "s":
            if value == 0:
                return "0 s"
            for seconds, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
                if abs(value) >= seconds:
                    return f"{value / seconds:.3g} {name}"
            return f"{1000 * value:.3g} ms"
        case _:
            return f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"


def _lines(axes: Axes, board: Board, panel: Panel, begin: float) -> None:
    lines = board.lines(panel)
    unit, custom = _unit(panel), panel["fieldConfig"]["defaults"].get("custom", {})
    colours = [_fixed(panel, line.name) or _PALETTE[index % 8] for index, line in enumerate(lines)]
    if custom.get("stacking"):
        times = sorted({at for line in lines for at, _ in line.points})
        values = [[dict(line.points).get(at, 0.0) for at in times] for line in lines]
        axes.stackplot(
            [at - begin for at in times], values, labels=[line.name for line in lines], colors=colours
        )
    else:
        for line, colour in zip(lines, colours, strict=True):
            axes.plot(
                [at - begin for at, _ in line.points],
                [value for _, value in line.points],
                label=line.name,
                color=colour,
                linewidth=1.1,
            )
    axes.yaxis.set_major_formatter(lambda value, _: said(value, unit))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    low, high = (panel["fieldConfig"]["defaults"].get(name) for name in ("min", "max"))
    axes.set_ylim(bottom=low, top=high)
    axes.grid(alpha=0.3)
    _legend(axes)


def _bars(axes: Axes, board: Board, panel: Panel, _begin: float) -> None:
    table = board.table(panel)
    names = [str(row[0]) for row in table.rows]
    series = table.columns[1:]
    width = 0.8 / max(1, len(series))
    for index, name in enumerate(series):
        places = [place + (index - (len(series) - 1) / 2) * width for place in range(len(names))]
        axes.bar(
            places,
            [_number(row[index + 1]) for row in table.rows],
            width,
            label=name,
            color=_PALETTE[index % 8],
        )
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    _legend(axes)


def _gauges(axes: Axes, board: Board, panel: Panel, _begin: float) -> None:
    lines = board.lines(panel)
    longest = max((line.points[-1][1] for line in lines), default=1.0) or 1.0
    axes.set(xlim=(-0.45, 1.1), ylim=(len(lines) - 0.4, -0.6))
    axes.axis("off")
    for place, line in enumerate(lines):
        value = line.points[-1][1]
        axes.text(-0.03, place, line.name, ha="right", va="center")
        axes.barh(place, value / longest, color=_PALETTE[0], height=0.6)
        axes.text(value / longest, place, f" {said(value, _unit(panel))}", va="center")


def _stat(axes: Axes, board: Board, panel: Panel, _begin: float) -> None:
    lines = board.lines(panel)
    named = panel["options"].get("textMode") == "name"
    texts = [line.name if named else said(line.points[-1][1], _unit(panel)) for line in lines]
    shown = "\n".join(texts) or "No data"
    axes.axis("off")
    axes.text(0.45, 0.35, shown, ha="center", va="center", fontsize=10 if named else 17)


def _table(axes: Axes, board: Board, panel: Panel, _begin: float) -> None:
    table = board.table(panel)
    rows = table.rows[: _fitting(panel)]
    tall = 1 / max(6, len(rows) + 1)
    widths = _widths(table, panel)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    for row, values in enumerate([table.columns, *rows]):
        x, y = 0.0, 1 - (row + 1) * tall
        for column, value, wide in zip(table.columns, values, widths, strict=True):
            background = _background(panel, value) if row else "#e9ecef"
            axes.add_patch(Rectangle((x, y), wide, tall, facecolor=background, edgecolor="#dee2e6"))
            text = _cell(value, panel, column)
            if row and isinstance(value, float) and _property(panel, column, "custom.cellOptions"):
                room = 0.6 * wide
                axes.add_patch(
                    Rectangle((x + 0.35 * wide, y + tall / 4), room * value, tall / 2, facecolor=_GAUGE)
                )
            axes.text(x + 0.008, y + tall / 2, text, va="center", fontweight="normal" if row else "bold")
            x += wide
    if not rows:
        axes.text(0.5, 0.5, "No data", ha="center")


def _fitting(panel: Panel) -> int:
    """How many rows a table of its height shows."""
    return int(2 * (panel["gridPos"]["h"] - 1))


def _widths(table: Table, panel: Panel) -> list[float]:
    longest = [
        max(6, len(name), *(len(_cell(row[index], panel, name)) for row in table.rows))
        for index, name in enumerate(table.columns)
    ]
    return [length / sum(longest) for length in longest]


def _cell(value: Value, panel: Panel, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    unit = _property(panel, column, "unit") or _unit(panel)
    return said(value, unit, panel["fieldConfig"]["defaults"].get("decimals"))


def _background(panel: Panel, value: Value) -> str:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    if not isinstance(value, float) or not steps:
        return "white"
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return _COLOURS[reached[-1]]


def _property(panel: Panel, column: str, name: str) -> Any:
    for one in panel["fieldConfig"]["overrides"]:
        if one["matcher"]["options"] == column:
            for said_of in one["properties"]:
                if said_of["id"] == name:
                    return said_of["value"]
    return None


def _fixed(panel: Panel, name: str) -> str | None:
    colour = _property(panel, name, "color")
    return _COLOURS[colour["fixedColor"]] if colour else None


def _unit(panel: Panel) -> str:
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _number(value: Value) -> float:
    return value if isinstance(value, float) else 0.0


def _legend(axes: Axes) -> None:
    names = axes.get_legend_handles_labels()[1]
    if names and any(names):
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.1),
            ncols=min(6, len(names)),
            fontsize=6.5,
            frameon=False,
            handlelength=1,
        )


_DRAWERS = {"timeseries": _lines, "barchart": _bars, "bargauge": _gauges, "stat": _stat, "table": _table}


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    file, url, picture, *times = arguments
    end = float(times[0]) if times else time.time()
    begin = float(times[1]) if len(times) > 1 else end - 3600
    board = Board(json.loads(Path(file).read_text()), Client(url), Window(begin, end))
    draw(board, Path(picture), begin=begin)


if __name__ == "__main__":
    main(sys.argv[1:])
