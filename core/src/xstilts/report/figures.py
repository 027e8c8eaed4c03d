"""The report's figures as inline SVG: no script, no font, colours from the page's own variables.

Every figure says in words what it shows (title and description), and every number in it stands in a table of the page.
Models are told apart by colour and by shape. Lengths are in user units; the page scales a figure to its column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Final

from markupsafe import Markup, escape

WIDTH: Final = 360  # of a panel
ROW: Final = 18  # height of a row, and a third more for each further mark in it
LABELS: Final = (92, 180)  # least and greatest width of the row labels
LETTER: Final = (
    7.0  # width of a letter in them, in a wide font (DejaVu Sans) and with as many m as commonsense-qa
)
TOP: Final = 30  # for the axis
LEAST_DARKEST: Final = 2.0  # points
SHAPES: Final = 4  # and as many colours: sixteen series are told apart


@dataclass(frozen=True)
class Mark:
    """A value of a series, with the ends of its interval where it has one."""

    series: int
    value: float
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True)
class Row:
    """A labelled row of marks."""

    label: str
    marks: tuple[Mark, ...]
    flagged: bool = False


@dataclass(frozen=True)
class Panel:
    """A chart of rows over one axis.

    Attributes:
        title: what it is of.
        description: what it shows, in a sentence, for those who do not see it.
        rows: from top to bottom.
        series: the names of the series, for the legend.
        zero: whether the axis holds 0 and marks it.
        bars: whether marks are bars from the axis' beginning, rather than points.
        line: a value that is marked by a line, such as chance, and its name.
        limits: of the axis, and `labels` the width of the row labels: what fits the rows, where nothing is said.
    """

    title: str
    description: str
    rows: tuple[Row, ...]
    series: tuple[str, ...]
    zero: bool = False
    bars: bool = False
    line: tuple[float, str] | None = None
    limits: tuple[float, float] | None = None
    labels: float | None = None


def limits_of(rows: Sequence[Row], *, zero: bool) -> tuple[float, float]:
    """The axis that all marks and finite interval ends fit on, for several panels to share."""
    numbers = [
        number
        for row in rows
        for mark in row.marks
        for number in (mark.value, mark.low, mark.high)
        if number is not None and isfinite(number)
    ]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = 0.04 * (high - low) or 0.5
    return low - room, high + room


def label_width(rows: Sequence[Row]) -> float:
    """How wide the row labels are, for several panels to share."""
    least, greatest = LABELS
    longest = max((len(_label(row)) for row in rows), default=0)
    return min(max(12 + LETTER * longest, least), greatest)


@dataclass(frozen=True)
class Drawing:
    """A drawn panel. On a page it stands as an SVG element of its own; `body` is what is in it.

    Attributes:
        identifier: unique on the page.
        title, description: what it is of and what it shows.
        height: in user units; the width is WIDTH.
        body: the marks, axis and labels.
    """

    identifier: str
    title: str
    description: str
    height: int
    body: Markup

    def __html__(self) -> str:
        """The SVG element."""
        return Markup(
            '<svg class="figure" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{id}-t {id}-d">'
            '<title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>{body}</svg>'
        ).format(
            width=WIDTH,
            height=self.height,
            id=self.identifier,
            title=self.title,
            description=self.description,
            body=self.body,
        )


def draw(panel: Panel, identifier: str) -> Drawing:
    """Draw the panel; `identifier` must be unique on the page."""
    limits = panel.limits or limits_of(panel.rows, zero=panel.zero)
    heights = [_height(panel, row) for row in panel.rows]
    bottom = TOP + sum(heights)
    scale = _Scale(*limits, left=panel.labels or label_width(panel.rows))
    parts = [*_axis(panel, scale, bottom)]
    top = float(TOP)
    for row, height in zip(panel.rows, heights, strict=True):
        parts += _row(panel, row, top, height, scale)
        top += height
    parts += _reference(panel, scale, bottom)
    return Drawing(identifier, panel.title, panel.description, round(bottom + 4), Markup("").join(parts))


def legend(series: Sequence[str]) -> Markup:
    """The names of the series beside their marks."""
    items = [
        Markup('<li><svg class="key" viewBox="0 0 14 14" aria-hidden="true">{mark}</svg>{name}</li>').format(
            mark=shape(index, 7, 7), name=name
        )
        for index, name in enumerate(series)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    left: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.left + share * (WIDTH - self.left - 10), 1)

    def ticks(self) -> Iterator[float]:
        """About four round numbers."""
        rough = (self.high - self.low) / 4
        power = 10 ** floor(log10(rough))
        step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough)
        for index in range(ceil(self.low / step), floor(self.high / step) + 1):
            yield round(index * step, 10)


def _height(panel: Panel, row: Row) -> float:
    marks = max(len({mark.series for mark in row.marks}), 1)
    return ROW + (marks - 1) * (8 if panel.bars else 6)


def _axis(panel: Panel, scale: _Scale, bottom: float) -> Iterator[Markup]:
    for tick in scale.ticks():
        place = scale(tick)
        emphasis = "zero" if panel.zero and tick == 0 else "grid"
        text = f"{tick:+g}" if panel.zero and tick else f"{tick:g}"
        yield _line(place, TOP - 4, place, bottom, emphasis)
        yield _text(place, TOP - 9, text, "middle")


def _reference(panel: Panel, scale: _Scale, bottom: float) -> Iterator[Markup]:
    if panel.line is not None and scale.low <= panel.line[0] <= scale.high:
        yield _line(scale(panel.line[0]), TOP - 4, scale(panel.line[0]), bottom, "reference")
        yield _text(scale(panel.line[0]), TOP - 20, panel.line[1], "middle")


def _row(panel: Panel, row: Row, top: float, height: float, scale: _Scale) -> Iterator[Markup]:
    middle = top + height / 2
    yield _text(scale.left - 6, middle + 4, _shortened(_label(row), scale.left - 12), "end")
    series = sorted({mark.series for mark in row.marks})
    step = 8 if panel.bars else 6
    for mark in row.marks:
        place = middle + (series.index(mark.series) - (len(series) - 1) / 2) * step
        yield from _mark(panel, mark, place, scale)


def _label(row: Row) -> str:
    return row.label + (" †" if row.flagged else "")


def _shortened(text: str, width: float) -> str:
    """Without its middle, where it is too long: names of mixes and variants often begin alike and end alike."""
    room = int(width / LETTER)
    if len(text) <= room:
        return text
    tail = (room - 1) // 2
    return f"{text[: room - 1 - tail]}…{text[-tail:]}"


def _mark(panel: Panel, mark: Mark, place: float, scale: _Scale) -> Iterator[Markup]:
    colour = f"s{mark.series % SHAPES}"
    if panel.bars:
        begin = scale(max(scale.low, 0.0))
        yield Markup('<rect class="bar {}" x="{}" y="{}" width="{}" height="6"/>').format(
            colour, begin, round(place - 3, 1), max(round(scale(mark.value) - begin, 1), 0)
        )
    if mark.low is not None and mark.high is not None:
        yield Markup('<line class="range {}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            "on-bar" if panel.bars else colour,
            scale(mark.low),
            scale(mark.high),
            round(place, 1),
            round(place, 1),
        )
    if not panel.bars:
        yield shape(mark.series, scale(mark.value), round(place, 1), hollow=mark.hollow)


def shape(series: int, x: float, y: float, *, hollow: bool = False) -> Markup:
    """The mark of a series, with its middle at (x, y)."""
    style = f"mark s{series % SHAPES}" + (" hollow" if hollow else "")
    match (
        series + series // SHAPES
    ) % SHAPES:  # the fifth has the first one's colour and the second one's shape
        case 0:
            return Markup('<circle class="{}" cx="{}" cy="{}" r="3.4"/>').format(style, x, y)
        case 1:
            return Markup('<rect class="{}" x="{}" y="{}" width="6" height="6"/>').format(
                style, round(x - 3, 1), round(y - 3, 1)
            )
        case 2:
            points = f"{x},{round(y - 4, 1)} {round(x + 4, 1)},{round(y + 3, 1)} {round(x - 4, 1)},{round(y + 3, 1)}"
        case _:
            points = f"{x},{round(y - 4.2, 1)} {round(x + 4.2, 1)},{y} {x},{round(y + 4.2, 1)} {round(x - 4.2, 1)},{y}"
    return Markup('<polygon class="{}" points="{}"/>').format(style, points)


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        style, x1, round(y1, 1), x2, round(y2, 1)
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        round(x, 1), round(y, 1), anchor, escape(text)
    )


def darkest(values: Iterable[float]) -> float:
    """The size that ends a heatmap's scale of colours: the largest, and never so little that noise would look dark."""
    return max([LEAST_DARKEST, *map(abs, values)])


def shade(value: float, most: float) -> str:
    """The class of a cell of a heatmap: its sign, and one of four steps of its size against the darkest; `even` near 0."""
    if abs(value) < 0.05:
        return "even"
    return f"{'plus' if value > 0 else 'minus'}{ceil(4 * abs(value) / most)}"
