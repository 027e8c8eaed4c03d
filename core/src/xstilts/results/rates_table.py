"""The table of the learning rates that sweeps have chosen."""

from __future__ import annotations

from typing import Final

from xstilts.results.rows import ChosenRate, Results
from xstilts.results.table import Column, Table
from xstilts.results.words import edge_words

TASKS_NAMED: Final = 3  # of a mix of more it is said how many
CHOICE: Final = (
    "Of each training's rates the one with the highest score on English dev is chosen, of equals the smallest; no other "
    "language and no test item has a say in it."
)


def _tasks(row: ChosenRate) -> str:
    return " ".join(row.tasks) if len(row.tasks) <= TASKS_NAMED else f"{len(row.tasks)} tasks"


COLUMNS: tuple[Column[ChosenRate], ...] = (
    Column("model", lambda row: row.model, "the pretrained model", numeric=False),
    Column("intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False),
    Column("trained on", _tasks, "the task of the training that was swept", numeric=False),
    Column("phase", lambda row: row.phase, "intermediate, or the target's own training", numeric=False),
    Column("seed", lambda row: str(row.seed), "of the training"),
    Column("rate", lambda row: row.learning_rate, "the learning rate that was chosen"),
    Column("dev", lambda row: f"{row.dev[row.learning_rate]:.2f}", "its score on English dev, in percent"),
    Column("runner-up", lambda row: row.runner_up, "the best of the other rates"),
    Column("its dev", lambda row: f"{row.dev[row.runner_up]:.2f}", "the score of that"),
    Column("tried", lambda row: " ".join(row.dev), "all rates of the grid", numeric=False),
    Column(
        "edge",
        lambda row: row.edge,
        "the chosen rate is the smallest or the largest of the grid: a better one may lie beyond",
        numeric=False,
    ),
)


def rates_table(results: Results) -> Table:
    """A row a sweep that has been chosen from; no row where there is none."""
    partial = " (partial)" if results.partial else ""
    edge = edge_words(results)
    return Table(
        title=f"{results.experiment}: chosen learning rates{partial}",
        columns=COLUMNS,
        rows=tuple(tuple(column.text(row) for column in COLUMNS) for row in results.rates),
        notes=(CHOICE, *([edge] if edge else [])),
    )
