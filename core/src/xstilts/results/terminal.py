"""Results for a terminal: one table a target, with the columns that its width has room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from xstilts.results.table import Table

DISPENSABLE = (
    *("seeds", "zero-shot delta", "chance", "gap", "English", "worst"),
    *("log-odds interval", "log-odds", "bootstrap", "detectable", "covers"),
    *("zero-shot difference", "languages"),
)  # what goes first for want of room, of any table
_WIDE = Console(width=10_000, color_system=None)  # lays tables out without cutting them


def show(console: Console, table: Table) -> None:
    """Print a results table and its notes.

    On a terminal, columns that do not fit are left out, which the last line says: first those in which nothing stands.
    If that is not enough, words are broken over lines. Elsewhere all are printed, as wide as they are.
    """
    titles = {column.title: index for index, column in enumerate(table.columns)}
    empty = [title for title, index in titles.items() if not any(row[index] for row in table.rows)]
    left_out: list[str] = []
    lines = _lines(table, left_out)
    for title in (*empty, *DISPENSABLE) if console.is_terminal else ():
        if title in titles and max(map(len, lines), default=0) > console.width:
            left_out.append(title)
            lines = _lines(table, left_out)
    if console.is_terminal:
        lines = _lines(table, left_out, console.width)
    notes = list(table.notes)
    if missed := [title for title in left_out if title not in empty]:
        notes.append(f"Left out for want of room: {', '.join(missed)} (-o markdown has them).")
    for line in [table.title, "", *lines, *notes]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(table: Table, left_out: Sequence[str], width: int | None = None) -> list[str]:
    """The rows as text, a table a target, in so many columns of the terminal where `width` says how many."""
    with _WIDE.capture() as capture:
        for target in dict.fromkeys(row[0] for row in table.rows):
            _WIDE.print(_of_target(table, target, left_out), width=width)
    return [line.rstrip() for line in capture.get().splitlines()]


def _of_target(table: Table, target: str, left_out: Sequence[str]) -> RichTable:
    """The rows of one target, whose name is the title and no column."""
    made = RichTable(
        title=target, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False
    )
    kept = [
        (index, column)
        for index, column in enumerate(table.columns)
        if index > 0 and column.title not in left_out
    ]
    for _, column in kept:
        title = column.title.replace(" ", "\n").replace("\n%", " %")
        made.add_column(
            title, justify="right" if column.numeric else "left", no_wrap=column.numeric, overflow="fold"
        )
    for row in table.rows:
        if row[0] == target:
            made.add_row(*(row[index] for index, _ in kept))
    return made
