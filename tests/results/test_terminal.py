"""Results on a terminal: what its width has room for, and elsewhere everything."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.report.made import results as with_every_part

from xstilts.results import summary_table
from xstilts.results.primary import primary
from xstilts.results.primary_table import primary_table
from xstilts.results.terminal import show
from xstilts.spec import Analysis

from .test_combinations import XNLI, make, rows_of


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(200, None), (90, "seeds, zero-shot delta"), (70, "seeds, zero-shot delta, chance, gap")],
)
def test_a_terminal_shows_the_columns_that_it_has_room_for(width, left_out):
    screen = io.StringIO()
    show(
        Console(file=screen, width=width, force_terminal=True, color_system=None),
        summary_table(make(rows_of(XNLI))),
    )
    lines = screen.getvalue().splitlines()
    assert lines[0] == "made"
    assert max(map(len, lines[1:7])) <= width
    assert any("squad" in line and "48.0 ±0.0" in line and "…" not in line for line in lines)
    assert ("Left out for want of room" in lines[-1]) == (left_out is not None)
    assert left_out is None or left_out in lines[-1]


def test_the_primary_answer_fits_on_a_terminal_too():
    made = with_every_part()
    screen = io.StringIO()
    table = primary_table(primary(made, Analysis()), made, Analysis())
    show(Console(file=screen, width=120, force_terminal=True, color_system=None), table)
    title, blank, *lines = screen.getvalue().splitlines()
    assert "primary answer" in title
    assert blank == ""
    body = [line for line in lines if line.startswith(" ")]
    assert max(map(len, body)) <= 120
    assert any("95 %" in line for line in body), "the title of an interval is broken between words alone"
    assert lines[-1].startswith("Left out for want of room: seeds, log-odds interval")
    assert "worst" not in lines[-1], "a column that the table has not"


def test_elsewhere_nothing_is_left_out():
    log = io.StringIO()
    show(Console(file=log, width=40), summary_table(make(rows_of(XNLI))))
    assert "+13.0 ±0.0  sw 44.0" in log.getvalue()
    assert "Left out" not in log.getvalue()
