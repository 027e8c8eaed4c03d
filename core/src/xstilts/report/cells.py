"""How the report's tables are made of rows, and how intervals and numbers are written in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from xstilts.results import Results
from xstilts.results.primary_table import covered
from xstilts.results.table import Column, Table
from xstilts.results.words import ABSENT, partial_words, signed, span
from xstilts.statistics import Interval

DESCRIPTIVE: Final = "Descriptive: nothing here was fixed before the run."


def described(
    results: Results, title: str, rows: Sequence[Any], columns: tuple[Column[Any], ...], *notes: str
) -> Table:
    """A table of rows of one kind, that says of itself that it is descriptive."""
    return table_of(results, title, rows, columns, DESCRIPTIVE, *notes)


def table_of(
    results: Results, title: str, rows: Sequence[Any], columns: tuple[Column[Any], ...], *notes: str
) -> Table:
    """A table of rows of one kind, titled with the experiment's name and whether it is partial."""
    return Table(
        title=f"{results.experiment}: {title}{partial_words(results)}",
        columns=columns,
        rows=tuple(tuple(column.text(row) for column in columns) for row in rows),
        notes=notes,
    )


def reach(intervals: Sequence[Interval | None]) -> Iterator[str]:
    """What intervals of a table do not cover, where any does not."""
    known = [one for one in intervals if one is not None and one.known]
    if any(not one.covers_seeds for one in known):
        yield "With one or two seeds, intervals and p-values are over the choice of test items only, not over trainings."
    if any(not one.covers_items for one in known):
        yield "Where it is not known which items were right, intervals and p-values are over seeds only, not over items."


def ends(of: Interval | None) -> str:
    """The ends of an interval, where they are known."""
    return ABSENT if of is None or not of.known else span(of.low, of.high)


def covers(of: Interval | None) -> str:
    """What an interval covers, where there is one."""
    return ABSENT if of is None else covered(of)


def estimate(of: Interval | None) -> str:
    """The middle of an interval, signed."""
    return ABSENT if of is None else signed(of.estimate)


def plain(value: float | None) -> str:
    """A number with one decimal."""
    return ABSENT if value is None else f"{value:.1f}"


def named(one: tuple[str, float] | None, write: Callable[[float], str]) -> str:
    """A name and its number, written so."""
    return ABSENT if one is None else f"{one[0]} {write(one[1])}"
