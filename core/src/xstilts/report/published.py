"""Published scores beside the experiment's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xstilts.catalogue import CATALOGUE
from xstilts.catalogue.published import PUBLISHED, Published
from xstilts.report.cells import table_of
from xstilts.results import Combination, Results, combinations
from xstilts.results.summaries import split_of
from xstilts.results.table import Column, Table
from xstilts.results.words import ABSENT
from xstilts.spec.fields import BASELINE


@dataclass(frozen=True)
class Comparable:
    """A published score beside the experiment's own, and why they cannot be compared; nothing where they can."""

    published: Published
    model: str | None
    ours: float | None
    reasons: tuple[str, ...]


def comparable(results: Results) -> list[Comparable]:
    """Published scores of the experiment's targets without an intermediate task, each beside ours or with why not.

    Of several models with one checkpoint, that stands there which can best be compared.
    """
    ours = {(row.model, row.target): row for row in combinations(results) if row.intermediate == BASELINE}

    def beside(one: Published, model: str | None) -> Comparable:
        row = ours.get((model or "", one.target))
        reasons = tuple(_differences(one, model, row, results))
        return Comparable(one, model, row.score.mean if row else None, reasons)

    return [
        min(
            (beside(one, name) for name in _models(results, one.pretrained) or [None]),
            key=lambda found: (found.ours is None, len(found.reasons)),
        )
        for one in PUBLISHED
        if one.target in results.targets
    ]


def _models(results: Results, pretrained: str) -> list[str | None]:
    return [name for name, hub in results.pretrained.items() if hub == pretrained]


def _differences(
    one: Published, model: str | None, row: Combination | None, results: Results
) -> Iterator[str]:
    if model is None:
        yield "another model"
    elif row is None:
        yield "not scored here yet"
    else:
        entry = CATALOGUE[one.target]
        if set(row.languages) != set(entry.languages):
            yield f"{len(row.languages)} of {len(entry.languages)} languages here"
    if split_of(one.target).value != one.split:
        yield f"{one.split} there, {split_of(one.target).value} here"
    if one.target in results.from_files:
        yield "rows from files here"
    if model is not None and (departed := results.departures.get((model, one.target))):
        what = "used" if one.target in results.untrained else "trained"
        yield f"{what} otherwise: {', '.join(departed)}"
    if one.caveat:
        yield one.caveat


def published_table(results: Results, rows: Sequence[Comparable]) -> Table:
    """Published scores beside ours."""
    return table_of(
        results,
        "published scores",
        rows,
        (
            Column("target", lambda row: row.published.target, "the task that is scored", numeric=False),
            Column(
                "model",
                lambda row: row.published.pretrained,
                "that the score was published of",
                numeric=False,
            ),
            Column(
                "published",
                lambda row: f"{row.published.score:.1f}",
                "without an intermediate task, in percent",
            ),
            Column(
                "ours",
                lambda row: ABSENT if row.ours is None else f"{row.ours:.1f}",
                "the same model here, after none",
            ),
            Column(
                "comparable",
                lambda row: f"no: {'; '.join(row.reasons)}" if row.reasons else "yes",
                "whether the two are of the same thing, as far as is known",
                numeric=False,
            ),
            Column(
                "source",
                lambda row: (
                    f"{row.published.source} ({row.published.split}"
                    f"{', partly from memory' if row.published.from_memory else ''})"
                ),
                "who published it",
                numeric=False,
            ),
        ),
    )
