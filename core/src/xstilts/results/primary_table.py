"""The primary answer as a table: a row a contrast, with its intervals and what they do and do not cover."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.catalogue.overlap import TrainingOverlap
from xstilts.results.primary import PrimaryRow, missing_answers
from xstilts.results.rows import UNRELATED, Results
from xstilts.results.table import Column, Table
from xstilts.spec import Analysis
from xstilts.statistics import Interval

TITLES = {
    "meanZeroShot": "mean zero-shot",
    "transferGap": "transfer gap",
    "worstLanguage": "worst language of none",
}


def primary_table(rows: Sequence[PrimaryRow], results: Results, analysis: Analysis) -> Table:
    """The contrasts, as `summary_table` shows the scores."""
    flagged = _flagged(results)
    columns: tuple[Column[PrimaryRow], ...] = (
        Column("target", lambda row: row.target, "the task that is scored", numeric=False),
        Column(
            "contrast",
            _contrast,
            "whose delta, less whose; a delta is against none, seed by seed",
            numeric=False,
        ),
        Column("intermediate", lambda row: row.intermediate, "what was trained on first", numeric=False),
        Column("measure", lambda row: TITLES[row.measure], "of which the contrast is taken", numeric=False),
        Column("points", lambda row: f"{row.points.estimate:+z.2f}", "the contrast, in percentage points"),
        Column("95 % interval", lambda row: _range(row.points), "t over seeds plus clusters of test items"),
        Column(
            "bootstrap", lambda row: f"{row.bootstrap[0]:+z.2f} to {row.bootstrap[1]:+z.2f}", "crossed, 95 %"
        ),
        Column(
            "p",
            lambda row: _p(row.adjusted),
            f"two-sided, corrected over the target's rows ({analysis.correction})",
        ),
        Column("log-odds", lambda row: f"{row.log_odds.estimate:+z.3f}", "the contrast of log-odds"),
        Column("log-odds interval", lambda row: _range(row.log_odds, 3), "as in points"),
        Column(
            "detectable",
            lambda row: f"{row.detectable:.2f}",
            "the smallest true contrast found with 80 % power",
        ),
        Column("seeds", lambda row: " and ".join(map(str, row.seeds)), "of each model"),
        Column(
            "relation",
            lambda row: flagged.get((row.intermediate, row.target), ""),
            "in-task or overlap: the intermediate is, or shares rows with, the target's own training data",
            numeric=False,
        ),
    )
    return Table(
        title=f"{results.experiment}: primary answer",
        columns=columns,
        rows=tuple(tuple(column.text(row) for column in columns) for row in rows),
        notes=tuple(_notes(rows, results)),
    )


def _contrast(row: PrimaryRow) -> str:
    return f"Δ {row.model}" if row.reference is None else f"Δ {row.model} - Δ {row.reference}"


def _range(of: Interval, digits: int = 2) -> str:
    return f"{of.low:+z.{digits}f} to {of.high:+z.{digits}f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _flagged(results: Results) -> dict[tuple[str, str], str]:
    words = {TrainingOverlap.NONE: "", TrainingOverlap.PARTIAL: "overlap", TrainingOverlap.SAME: "in-task"}
    strongest: dict[tuple[str, str], TrainingOverlap] = {}
    for (intermediate, target, _), relation in results.relations.items():
        cell = (intermediate, target)
        strongest[cell] = max(strongest.get(cell, UNRELATED.overlap), relation.overlap)
    return {cell: words[overlap] for cell, overlap in strongest.items()}


def _notes(rows: Sequence[PrimaryRow], results: Results) -> list[str]:
    notes = ["What is asked was fixed in the file (spec.analysis); all other differences are descriptive."]
    if any(not row.points.covers_seeds for row in rows):
        notes.append(
            "With one or two seeds an interval covers the choice of test items only, and no other training: with "
            "other seeds a contrast may be another one."
        )
    unknown = missing_answers(results)
    if unknown:
        notes.append(
            f"Left out: {len(unknown)} evaluations ({unknown[0]}, …) whose artifacts hold scores and no answers by item; "
            "they were made before answers were kept."
        )
    if results.partial:
        notes.append("Partial: evaluations without scores are not in it.")
    return notes
