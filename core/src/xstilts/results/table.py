"""The table of an experiment's results as text: its columns, its rows, and the sentences that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from xstilts.catalogue import CATALOGUE
from xstilts.results.collapse import COLLAPSED_MEANING, collapse_notes, collapsed
from xstilts.results.combinations import Combination, Estimate, combinations
from xstilts.results.rows import Results
from xstilts.results.words import ABSENT, RELATION_MEANING, edge_words, partial_words, relation_words
from xstilts.stage import Family

__all__ = [
    "ABSENT",
    "COLUMNS",
    "OF_E5",
    "Column",
    "Table",
    "columns_of",
    "difference",
    "notes",
    "number",
    "relation",
    "summary_table",
]

OF_E5 = (
    "E5 models have been trained on translation pairs and on NLI, question answering and paraphrase data: "
    "their none is no masked-language-model baseline, retrieval starts near its ceiling, and nothing here "
    "speaks for or against results of other pretrained models."
)
MISSING_NAMED = 8  # so many missing evaluations are named; the others are counted


Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: its title, how it is made from a row's content, and whether it holds numbers (set to the right)."""

    title: str
    text: Callable[[Row], str]
    meaning: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of text, and notes for people."""

    title: str
    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def number(estimate: Estimate | None) -> str:
    """A score: one decimal, with the spread over seeds where there is one."""
    if estimate is None:
        return ABSENT
    return f"{estimate.mean:.1f}{_spread(estimate)}"


def difference(estimate: Estimate | None) -> str:
    """A difference: with its sign."""
    if estimate is None:
        return ABSENT
    return f"{estimate.mean:+z.1f}{_spread(estimate)}"


def relation(row: Combination) -> str:
    """What the intermediate has seen of the target, in words; nothing where nothing."""
    return relation_words(row.overlap, row.languages_seen)


def _spread(estimate: Estimate) -> str:
    return "" if estimate.spread is None else f" ±{estimate.spread:.1f}"


def _chance(row: Combination) -> str:
    return ABSENT if row.chance is None else f"{row.chance:.1f}"


def _worst(row: Combination) -> str:
    return ABSENT if row.worst is None else f"{row.worst} {row.languages[row.worst].mean:.1f}"


def _seeds(row: Combination) -> str:
    return str(len(row.seeds)) if row.seeds else "no seed"


COLUMNS: tuple[Column[Combination], ...] = (
    Column("target", lambda row: row.target, "the task that is scored", numeric=False),
    Column("model", lambda row: row.model, "the pretrained model", numeric=False),
    Column("intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False),
    Column("score", lambda row: number(row.score), "XTREME's: the mean over languages, English included"),
    Column("chance", _chance, "what a blind guess gets, where that means something"),
    Column("delta", lambda row: difference(row.delta), "score less that of none, same model and seed"),
    Column("English", lambda row: number(row.english), "the score in English, the language of training"),
    Column("zero-shot", lambda row: number(row.zero_shot), "the mean over the other languages"),
    Column(
        "zero-shot delta",
        lambda row: difference(row.delta_zero_shot),
        "zero-shot less that of none, same model and seed",
    ),
    Column("gap", lambda row: difference(row.gap), "the transfer gap: English less zero-shot"),
    Column("worst", _worst, "the other language with the lowest score"),
    Column("seeds", _seeds, "how many seeds have scores; no seed: nothing random decides the score"),
    Column(
        "relation",
        relation,
        RELATION_MEANING,
        numeric=False,
    ),
)


_COLLAPSED = Column[Combination](
    "collapsed",
    lambda row: f"{len(row.collapsed)} of {len(row.seeds)}" if row.collapsed else "",
    COLLAPSED_MEANING,
)


def columns_of(rows: Sequence[Combination]) -> tuple[Column[Combination], ...]:
    """COLUMNS, and how many seeds have collapsed where any has, before the relation."""
    return (*COLUMNS[:-1], _COLLAPSED, COLUMNS[-1]) if any(row.collapsed for row in rows) else COLUMNS


def summary_table(results: Results) -> Table:
    """The table of all combinations: see `combinations` for their order."""
    combined = combinations(results)
    columns = columns_of(combined)
    return Table(
        title=f"{results.experiment}{partial_words(results)}",
        columns=columns,
        rows=tuple(tuple(column.text(row) for column in columns) for row in combined),
        notes=tuple(notes(results)),
    )


def notes(results: Results) -> list[str]:
    """What must be said beside the numbers, for these results."""
    said = ["All numbers are percent, deltas and gaps are points; they are described here, not tested."]
    seeds = {row.seed for row in results.rows} - {None}
    if len(seeds) == 1:
        said.append(
            "One seed: nothing here tells an effect from the noise between seeds, which is often points."
        )
    elif seeds:
        said.append(
            f"± is the standard deviation over {len(seeds)} seeds or fewer, as the column seeds says."
        )
    if Family.E5 in results.models.values():
        said.append(OF_E5)
    said += [
        f"{CATALOGUE[name].title}: the {CATALOGUE[name].evaluates} split is scored, not a test split."
        for name in results.targets
        if name in CATALOGUE and CATALOGUE[name].evaluates != "test"
    ]
    said += collapse_notes(collapsed(results))
    if edge := edge_words(results):
        said.append(edge)
    if results.partial:
        said.append(_missing(list(map(str, results.missing))))
    return said


def _missing(names: Sequence[str]) -> str:
    more = f"; and {len(names) - MISSING_NAMED} more" if len(names) > MISSING_NAMED else ""
    return f"Partial: evaluations without scores: {len(names)} ({'; '.join(names[:MISSING_NAMED])}{more})."
