"""How commands print: the same forms everywhere, colour only on a terminal, and rows that line up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from xstilts.standing import State

STYLES: Final = {
    **{state.value: style for states, style in (
        ((State.SUCCEEDED, State.CACHED), "green"),
        ((State.RUNNING,), "cyan"),
        ((State.QUEUED, State.WAITING, State.INTERRUPTED), "yellow"),
        ((State.FAILED, State.BLOCKED), "red"),
    ) for state in states},
    "Completed": "green",
    "PartlyFailed": "red",
    "Suspended": "yellow",
    "ok": "green",
    "warning": "yellow",
    "FAILED": "red",
}  # fmt: skip
ABSENT: Final = "-"
NARROWEST: Final = 8  # no column is cut to less


class Output(StrEnum):
    """How the answer is printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print the answer.")]


def print_json(value: Any) -> None:
    """A JSON document on standard output."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def say(console: Console, line: str, style: str = "") -> None:
    """A line as it is: nothing in it is markup, and it is not broken."""
    console.print(Text(line, style), soft_wrap=True, highlight=False)


def lines(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[Text]:
    """Rows below their titles, in columns two spaces apart.

    On a terminal they are cut to its width; columns in which nothing stands go first.
    """
    table = [[*titles], *([_plain(cell) for cell in row] for row in rows)]
    widths = _widths(table)
    if console.is_terminal and _together(widths) > console.width:
        filled = [index for index in range(len(titles)) if any(row[index] != ABSENT for row in table[1:])]
        table = [[row[index] for index in filled] for row in table] if filled else table
        widths = _fitting(_widths(table), console.width)
    made = []
    for number, row in enumerate(table):
        text = Text(no_wrap=True, overflow="ellipsis")
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            last = index == len(row) - 1
            shown = _cut(cell, width) if last else set_cell_size(_cut_middle(cell, width), width) + "  "
            text.append(shown, "bold" if number == 0 else STYLES.get(cell, ""))
        text.rstrip()
        made.append(text)
    return made


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*table, strict=True)]


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _fitting(widths: Sequence[int], room: int) -> list[int]:
    """Widths that are no more than `room` together: first what is long in the last column gives way, then the widest."""
    fitting = [*widths]
    widest = max(range(len(widths)), key=widths.__getitem__)
    for index, least in ((-1, 3 * NARROWEST), (widest, NARROWEST), (-1, NARROWEST)):
        fitting[index] = min(fitting[index], max(least, fitting[index] - (_together(fitting) - room)))
    return fitting


def print_rows(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print `lines`."""
    for line in lines(console, titles, rows):
        console.print(line, soft_wrap=True, highlight=False)


def _plain(cell: str) -> str:
    return " ".join(cell.split()) or ABSENT


def _cut(cell: str, width: int) -> str:
    return cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…"


def _cut_middle(cell: str, width: int) -> str:
    """Cut where the least is lost: a stage's title ends with its model and seed."""
    if cell_len(cell) <= width:
        return cell
    tail = (width - 1) // 2
    return f"{set_cell_size(cell, width - 1 - tail)}…{cell[-tail:]}"


def size(value: float) -> str:
    """A number of bytes for people: 471 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
