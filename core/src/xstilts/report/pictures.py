"""The report's charts as SVG files of their own, for papers and slides: drawn in light colours, on white, without variables.

A picture holds what the page shows of a chart: title, legend, the panels in a grid, and the note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from textwrap import wrap
from typing import Final

from markupsafe import Markup

from xstilts.report.charts import Chart
from xstilts.report.contents import Contents
from xstilts.report.figures import WIDTH, shape

COLUMNS: Final = 3  # so many panels stand beside each other
_GAP: Final = 24
_LINE: Final = 16  # height of a line of text
_CHARACTER: Final = 6.2  # width of one, about


def pictures(contents: Contents) -> dict[str, str]:
    """File name -> SVG: the deltas by language, the scores by language and the seeds of every target that has them."""
    kinds = {"deltas": contents.forests, "scores": contents.bars, "seeds": contents.seeds}
    headings = {"deltas": "deltas by language", "scores": "scores by language", "seeds": "spread over seeds"}
    return {
        f"figure-{kind}-{chart.title}.svg": picture(chart, f"{chart.title}: {headings[kind]}")
        for kind, charts in kinds.items()
        for chart in charts
    }


def picture(chart: Chart, heading: str) -> str:
    """A chart as an SVG document."""
    columns = min(COLUMNS, len(chart.figures))
    width = columns * WIDTH + (columns + 1) * _GAP
    parts = [_text(_GAP, _LINE + 6, heading, "heading")]
    top = 2.0 * _LINE
    if len(chart.series) > 1:
        parts += _legend(chart.series, top)
        top += _LINE + 4
    for begin in range(0, len(chart.figures), columns):
        row = chart.figures[begin : begin + columns]
        for column, (name, drawing) in enumerate(row):
            left = _GAP + column * (WIDTH + _GAP)
            parts.append(_text(left, top + _LINE, name, "name"))
            parts.append(
                Markup('<g transform="translate({} {})"><title>{}</title><desc>{}</desc>{}</g>').format(
                    left, top + _LINE + 6, drawing.title, drawing.description, drawing.body
                )
            )
        top += _LINE + 6 + max(drawing.height for _, drawing in row) + _GAP / 2
    for line in wrap(chart.note, int((width - 2 * _GAP) / _CHARACTER)):
        top += _LINE
        parts.append(_text(_GAP, top, line, "note"))
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'role="img"><title>{heading}</title><style>{style}</style>'
            '<rect width="100%" height="100%" fill="#ffffff"/>{body}</svg>\n'
        ).format(
            width=width,
            height=round(top + _LINE),
            heading=heading,
            style=_STYLE,
            body=Markup("").join(parts),
        )
    )


def _legend(series: tuple[str, ...], top: float) -> Iterator[Markup]:
    left = float(_GAP)
    for index, name in enumerate(series):
        yield shape(index, left + 5, top + _LINE / 2)
        yield _text(left + 14, top + _LINE / 2 + 4, name, "note")
        left += 14 + len(name) * _CHARACTER + _GAP


def _text(x: float, y: float, text: str, style: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(style, x, y, text)


def _style() -> Markup:
    """The page's rules for figures, with its light colours in the place of the variables that name them."""
    sheets = files("xstilts.report") / "templates"
    light = (sheets / "report.css").read_text(encoding="utf-8").partition("}")[0]
    colours: Mapping[str, str] = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", light))
    rules = (sheets / "figures.css").read_text(encoding="utf-8").replace(".figure text", "text")
    own = "svg { font: 11px system-ui, sans-serif; } .heading { font-size: 14px; font-weight: 600; } .name { font-weight: 600; }\n"
    coloured = re.sub(r"var\(--([a-z0-9]+)\)", lambda found: colours[found[1]], rules)
    return Markup(own + coloured)  # noqa: S704 - the package's own files


_STYLE: Final = _style()
