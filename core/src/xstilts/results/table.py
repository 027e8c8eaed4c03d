"""The table of an experiment's results as text: its columns, its rows, and the sentences that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from xstilts.catalogue import CATALOGUE
from xstilts.results.collapse import COLLAPSED_MEANING, collapse_notes, collapsed
from xstilts.results.combinations import Combination, Estimate, combinations
from xstilts.results.rows import Results
from xstilts.results.words import (
    ABSENT,
    RELATION_MEANING,
    edge_words,
    end,
    partial_words,
    relation_words,
    signed,
)
from xstilts.stage import Family

OF_E5 = (
    "E5 models were trained on translation pairs and on NLI, question answering and paraphrase data. So their none is "
    "no masked-language-model baseline, and retrieval starts near its ceiling. Nothing here speaks for or against "
    "results of other pretrained models."
)
INTERVALS = (
    "[low, high] is Student's 95 % interval over seeds, where there are three or more; else ± is as without --ci. It does not "
    "cover the choice of test items (that of the primary answer does). Nothing is corrected for how many there are."
)
MISSING_NAMED = 8  # so many missing evaluations are named; the others are counted


Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: its title, how it is made from a row's content, and whether it holds numbers (set to the right)."""

    title: str
    text: Callable[[Row], str] = field(compare=False)
    meaning: str
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of text, and notes for people."""

    title: str
    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def number(estimate: Estimate | None, *, ci: bool = False) -> str:
    """A score: one decimal, with the spread over seeds where there is one, or with its interval."""
    return _text(estimate, "{:z.1f}".format, "{:z.1f}".format, ci=ci)


def difference(estimate: Estimate | None, *, ci: bool = False) -> str:
    """A difference: with its sign."""
    return _text(estimate, signed, end, ci=ci)


def _text(
    estimate: Estimate | None, middle: Callable[[float], str], limit: Callable[[float], str], *, ci: bool
) -> str:
    if estimate is None:
        return ABSENT
    mean = middle(estimate.mean)
    interval = estimate.interval if ci else None
    if interval is not None:
        return f"{mean} [{limit(interval[0])}, {limit(interval[1])}]"
    return mean if estimate.spread is None else f"{mean} ±{estimate.spread:.1f}"


def relation(row: Combination) -> str:
    """What the intermediate has seen of the target, in words; nothing where nothing."""
    return relation_words(row.overlap, row.languages_seen)


def _chance(row: Combination) -> str:
    return ABSENT if row.chance is None else f"{row.chance:.1f}"


def _worst(row: Combination) -> str:
    return ABSENT if row.worst is None else f"{row.worst} {row.languages[row.worst].mean:.1f}"


def _seeds(row: Combination) -> str:
    return str(len(row.seeds)) if row.seeds else "no seed"


def _collapsed(row: Combination) -> str:
    return f"{len(row.collapsed)} of {len(row.seeds)}" if row.collapsed else ""


def _columns(*, ci: bool, collapsed: bool) -> tuple[Column[Combination], ...]:
    score, change = partial(number, ci=ci), partial(difference, ci=ci)
    columns: list[Column[Combination]] = [
        Column("target", lambda row: row.target, "the task that is scored", numeric=False),
        Column("model", lambda row: row.model, "the pretrained model", numeric=False),
        Column("intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False),
        Column("score", lambda row: score(row.score), "XTREME's: the mean over languages, English included"),
        Column("chance", _chance, "what a blind guess gets, where that means something"),
        Column("delta", lambda row: change(row.delta), "score minus that of none, same model and seed"),
        Column("English", lambda row: score(row.english), "the score in English, the language of training"),
        Column("zero-shot", lambda row: score(row.zero_shot), "the mean over the other languages"),
        Column(
            "zero-shot delta",
            lambda row: change(row.delta_zero_shot),
            "zero-shot minus that of none, same model and seed",
        ),
        Column("gap", lambda row: change(row.gap), "the transfer gap: English minus zero-shot"),
        Column("worst", _worst, "the other language with the lowest score"),
        Column("seeds", _seeds, "how many seeds have scores; no seed: nothing random decides the score"),
        Column("relation", relation, RELATION_MEANING, numeric=False),
    ]
    if collapsed:
        columns.insert(-1, Column("collapsed", _collapsed, COLLAPSED_MEANING))
    return tuple(columns)


def summary_table(results: Results, *, ci: bool = False) -> Table:
    """The table of all combinations: see `combinations` for their order. With `ci` it has intervals in the place of spreads."""
    combined = combinations(results)
    columns = _columns(ci=ci, collapsed=any(row.collapsed for row in combined))
    return Table(
        title=f"{results.experiment}{partial_words(results)}",
        columns=columns,
        rows=tuple(tuple(column.text(row) for column in columns) for row in combined),
        notes=(*notes(results), *([INTERVALS] if ci else [])),
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
