"""Two experiments beside each other: what both have scored, and in what their files differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from xstilts.catalogue import ENGLISH
from xstilts.results.collapse import COLLAPSED_MEANING, collapsed
from xstilts.results.combinations import Estimate
from xstilts.results.main import Names, by_seeds
from xstilts.results.rows import Results
from xstilts.results.table import Column, Table, number
from xstilts.results.words import RELATION_MEANING, cell_relation, signed
from xstilts.spec import Experiment


@dataclass(frozen=True)
class ComparedRow:
    """A model, intermediate and target that both have, over the languages that both have.

    Attributes:
        first, second: the score (the mean over those languages), a number a seed.
        zero_shot: the difference of the means over the languages that are not English; None where there are none.
        languages: how many.
        relations: of the intermediate to the target, in words, in each of the two.
        collapsed: how many seeds of each are no better than a blind guess.
    """

    model: str
    intermediate: str
    target: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    zero_shot: float | None
    languages: int
    relations: tuple[str, str]
    collapsed: tuple[int, int]

    @property
    def difference(self) -> float:
        """The second's mean less the first's."""
        return fmean(self.second) - fmean(self.first)

    def to_json(self) -> dict[str, Any]:
        """As `-o json` has it."""
        return asdict(self) | {"difference": self.difference}


@dataclass(frozen=True)
class Compared:
    """Two experiments beside each other.

    Attributes:
        rows: what both have scored.
        only: for each of the two what it alone has scored.
        fields: path, first's, second's value.
        partial: whether each lacks the scores of a planned evaluation.
    """

    rows: tuple[ComparedRow, ...]
    only: tuple[tuple[Names, ...], tuple[Names, ...]]
    fields: tuple[tuple[str, Any, Any], ...]
    partial: tuple[bool, bool]


def compare(first: tuple[Experiment, Results], second: tuple[Experiment, Results]) -> Compared:
    """Compare by the names of models, intermediates and targets."""
    both = first[1], second[1]
    scores = [by_seeds(results) for results in both]
    low = [
        Counter((one.model, one.intermediate, one.target) for one in collapsed(results)) for results in both
    ]
    rows = (
        _row(
            names,
            scores[0][names],
            scores[1][names],
            relations=(cell_relation(both[0], *names[1:]), cell_relation(both[1], *names[1:])),
            collapsed=(low[0][names], low[1][names]),
        )
        for names in scores[0]
        if names in scores[1]
    )
    return Compared(
        rows=tuple(row for row in rows if row is not None),
        only=(
            tuple(names for names in scores[0] if names not in scores[1]),
            tuple(names for names in scores[1] if names not in scores[0]),
        ),
        fields=tuple(_differences("spec", *(_plain(experiment) for experiment, _ in (first, second)))),
        partial=(both[0].partial, both[1].partial),
    )


def compared_table(compared: Compared, names: tuple[str, str]) -> Table:
    """As `summary_table` shows the scores."""
    columns: tuple[Column[ComparedRow], ...] = (
        Column("target", lambda row: row.target, "the task that is scored", numeric=False),
        Column("model", lambda row: row.model, "the pretrained model", numeric=False),
        Column("intermediate", lambda row: row.intermediate, "what it was trained on first", numeric=False),
        Column(names[0], lambda row: number(Estimate.of(row.first)), "its score"),
        Column(names[1], lambda row: number(Estimate.of(row.second)), "its score"),
        Column("difference", lambda row: signed(row.difference), "the second's minus the first's"),
        Column(
            "zero-shot difference",
            lambda row: signed(row.zero_shot),
            "the same over the languages that are not English",
        ),
        Column("languages", lambda row: str(row.languages), "over how many"),
        Column("seeds", lambda row: f"{len(row.first)} and {len(row.second)}", "of each"),
        Column(
            "collapsed",
            lambda row: " and ".join(map(str, row.collapsed)) if any(row.collapsed) else "",
            f"of each, {COLLAPSED_MEANING}",
        ),
        Column("relation", lambda row: _relation(row, names), RELATION_MEANING, numeric=False),
    )
    if not any(any(row.collapsed) for row in compared.rows):
        columns = tuple(column for column in columns if column.title != "collapsed")
    first, second = (
        f"{name} (partial)" if partial else name
        for name, partial in zip(names, compared.partial, strict=True)
    )
    return Table(
        title=f"{second} against {first}",
        columns=columns,
        rows=tuple(tuple(column.text(row) for column in columns) for row in compared.rows),
        notes=("Scores are percent, over the languages that both have; described here, not tested.",),
    )


def _relation(row: ComparedRow, names: tuple[str, str]) -> str:
    """The relation in both, or where their intermediates of one name are not of one kind, that in each."""
    if row.relations[0] == row.relations[1]:
        return row.relations[0]
    return "; ".join(f"{name}: {words}" for name, words in zip(names, row.relations, strict=True) if words)


def _row(
    names: Names,
    first: list[dict[str, float]],
    second: list[dict[str, float]],
    *,
    relations: tuple[str, str],
    collapsed: tuple[int, int],
) -> ComparedRow | None:
    languages = set.intersection(*(set(one) for one in (*first, *second)))
    if not languages:
        return None
    others = languages - {ENGLISH}

    def means(seeds: list[dict[str, float]], codes: set[str]) -> list[float]:
        return [fmean(one[code] for code in sorted(codes)) for one in seeds]

    zero_shot = fmean(means(second, others)) - fmean(means(first, others)) if others else None
    return ComparedRow(
        *names,
        first=tuple(means(first, languages)),
        second=tuple(means(second, languages)),
        zero_shot=zero_shot,
        languages=len(languages),
        relations=relations,
        collapsed=collapsed,
    )


def _plain(experiment: Experiment) -> Any:
    return experiment.spec.model_dump(mode="json", by_alias=True, exclude_none=True)


def _differences(path: str, first: Any, second: Any) -> Iterator[tuple[str, Any, Any]]:
    """The fields that differ; entries of lists by their names where they have any."""
    first, second = _named(first), _named(second)
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys((*first, *second)):
            yield from _differences(f"{path}.{key}", first.get(key), second.get(key))
    elif first != second:
        yield path, first, second


def _named(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(one, dict) and "name" in one for one in value):
        return {one["name"]: one for one in value}
    return value
