"""The primary answer as a table: a row a contrast, with its intervals and what they do and do not cover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from xstilts.results.collapse import collapse_notes
from xstilts.results.main import LEVEL
from xstilts.results.measured import Measured
from xstilts.results.primary import Cells, PrimaryRow, Unanswered, missing_answers, unanswered
from xstilts.results.rows import Results
from xstilts.results.table import Column, Table
from xstilts.results.words import (
    ABSENT,
    RELATION_MEANING,
    cell_relation,
    p_value,
    partial_words,
    plural,
    signed,
    span,
)
from xstilts.spec import Analysis
from xstilts.statistics import Interval

TITLES = {
    "meanZeroShot": "mean zero-shot",
    "transferGap": "transfer gap",
    "worstLanguage": "worst language of none",
}

REASONS = 3  # so many are given why contrasts are not there


def primary_table(rows: Sequence[PrimaryRow], results: Results, analysis: Analysis) -> Table:
    """The contrasts, as `summary_table` shows the scores; what was asked for and has none stands at its end."""
    asked = unanswered(results, analysis) if any(row.cells is Cells.ALL for row in rows) or not rows else []
    columns = _columns(results, analysis)
    if len({row.cells for row in rows}) == 1:
        columns = tuple(column for column in columns if column.title != "cells")
    return Table(
        title=f"{results.experiment}: primary answer{_over(rows)}{partial_words(results)}",
        columns=columns,
        rows=(
            *(tuple(column.text(row) for column in columns) for row in rows),
            *(tuple(_of_unanswered(column, one, results) for column in columns) for one in asked),
        ),
        notes=tuple(_notes(rows, asked, results)),
    )


def _over(rows: Sequence[PrimaryRow]) -> str:
    """Which cells a table is over, for its title: such tables stand one after another. Of several kinds each row says it."""
    kinds = {row.cells for row in rows}
    if len(kinds) != 1:
        return ""
    return " over all cells" if kinds == {Cells.ALL} else f" {kinds.pop().value}"


def contrast(row: PrimaryRow | Unanswered) -> str:
    """Whose delta, less whose."""
    return f"Δ {row.model}" if row.reference is None else f"Δ {row.model} - Δ {row.reference}"


def row_relation(results: Results, row: PrimaryRow) -> str:
    """What the intermediate has seen of the cells that a contrast is over: nothing where such cells are left out."""
    return "" if row.cells is Cells.UNRELATED else cell_relation(results, row.intermediate, row.target)


def interval_text(of: Interval, digits: int = 2) -> str:
    """The ends of an interval; a dash where nothing is known of the variance."""
    return span(of.low, of.high, digits) if of.known else ABSENT


def _columns(results: Results, analysis: Analysis) -> tuple[Column[PrimaryRow], ...]:
    return (
        Column("target", lambda row: row.target, "the task that is scored", numeric=False),
        Column(
            "contrast",
            contrast,
            "whose delta minus whose; a delta is against none, seed by seed",
            numeric=False,
        ),
        Column("intermediate", lambda row: row.intermediate, "what was trained on first", numeric=False),
        Column("measure", lambda row: TITLES[row.measure], "of which the contrast is taken", numeric=False),
        Column("points", lambda row: signed(row.points.estimate, 2), "the contrast, in percentage points"),
        Column(
            "95 % interval",
            lambda row: interval_text(row.points),
            "t over seeds plus clusters of test items",
        ),
        Column(
            "bootstrap",
            lambda row: ABSENT if row.bootstrap is None else span(*row.bootstrap, 2),
            "crossed, 95 %",
        ),
        Column(
            "p",
            lambda row: p_value(row.adjusted) if row.points.known else ABSENT,
            f"two-sided, corrected over all that is asked of the target, what has no scores yet too ({analysis.correction})",
        ),
        Column(
            "log-odds",
            lambda row: signed(row.log_odds.estimate, 3) if row.log_odds else ABSENT,
            "the contrast of log-odds, which do not shrink towards a ceiling",
        ),
        Column(
            "log-odds interval",
            lambda row: interval_text(row.log_odds, 3) if row.log_odds else ABSENT,
            "as in points",
        ),
        Column(
            "detectable",
            lambda row: f"{row.detectable:.2f}" if isfinite(row.detectable) else ABSENT,
            f"the smallest true contrast, in points, found with 80 % power, by a corrected p below {LEVEL}, were it the only one",
        ),
        Column("seeds", lambda row: " and ".join(map(str, row.seeds)), "of each model"),
        Column("covers", lambda row: covered(row.points), "what the interval covers", numeric=False),
        Column("cells", lambda row: row.cells.value, "over which the contrast is", numeric=False),
        Column(
            "relation",
            lambda row: row_relation(results, row),
            RELATION_MEANING,
            numeric=False,
        ),
    )


def unanswered_words(asked: Sequence[Unanswered]) -> str:
    """How many contrasts are not there, and why."""
    reasons = list(dict.fromkeys(f"{one.target}: {one.reason}" for one in asked))
    more = "; …" if len(reasons) > REASONS else ""
    return (
        f"Asked for and not there: {plural(len(asked), 'contrast')} ({'; '.join(reasons[:REASONS])}{more})."
    )


def covered(of: Interval) -> str:
    """What an interval covers, in words: seeds, items, both or nothing."""
    parts = [("seeds", of.covers_seeds), ("items", of.covers_items)]
    return " and ".join(name for name, there in parts if there) or "nothing"


def _of_unanswered(column: Column[PrimaryRow], one: Unanswered, results: Results) -> str:
    said = {
        "target": one.target,
        "contrast": contrast(one),
        "intermediate": one.intermediate,
        "measure": TITLES[one.measure],
        "covers": one.reason,
        "relation": cell_relation(results, one.intermediate, one.target),
    }
    return said.get(column.title, ABSENT)


def _notes(rows: Sequence[PrimaryRow], asked: Sequence[Unanswered], results: Results) -> Iterator[str]:
    yield "What is asked was fixed in the file (spec.analysis); all other differences are descriptive."
    if any(not row.points.covers_seeds and row.points.known for row in rows):
        yield (
            "With one or two seeds an interval covers the choice of test items only. With other seeds a contrast may be "
            "another one."
        )
    if any(not row.points.covers_items and row.points.known for row in rows):
        yield (
            "Where it is not known which items were right, an interval covers seeds only. With other test items a contrast "
            "may be another one."
        )
    if any(not row.points.known for row in rows):
        yield "No interval: fewer than three seeds, and nothing known of single items."
    if asked:
        yield unanswered_words(asked)
    measured = Measured(results)
    yield from collapse_notes(measured.collapsed)
    for target in {row.target: None for row in rows}:
        left_out = measured.languages_left_out(target)
        if left_out:
            yield f"{target}: left out, since not every evaluation is scored in them: {' '.join(left_out)}."
    unknown = missing_answers(results)
    if unknown:
        yield (
            f"Left out: {len(unknown)} evaluations ({unknown[0]}, …) whose artifacts hold scores and no answers by item; "
            "they were made before answers were kept."
        )
    if results.partial:
        yield "Partial: evaluations without scores are not in it."
