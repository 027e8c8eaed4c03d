"""A figure: what was measured, beside what, and whether it is as good as it is to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: what is measured.
        value: how much.
        unit: of `value`, and of `peer`.
        peer: what a peer did in the same run.
        ratio: `value` to `peer`.
        goal: as words; None where there is none.
        met: whether the goal is reached; None where there is none.
        note: how it was measured, and what else was seen.
    """

    name: str
    value: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        goal = f" (goal: {self.goal})" if self.goal else ""
        return f"{self.name}: {self.value:g} {self.unit}{goal}" + (f"; {self.note}" if self.note else "")


def at_most(name: str, value: float, unit: str, goal: float, note: str = "") -> Figure:
    """A figure that is to be no larger than its goal."""
    return Figure(name, _round(value), unit, goal=f"<= {goal:g} {unit}", met=value <= goal, note=note)


def times_peer(name: str, value: float, unit: str, peer: float | None, goal: float, note: str = "") -> Figure:
    """A figure that is to be at least `goal` times a peer's; without a peer's number no goal is judged."""
    ratio = value / peer if peer else None
    return Figure(
        name,
        _round(value),
        unit,
        peer=_round(peer) if peer else None,
        ratio=_round(ratio) if ratio else None,
        goal=f"ratio >= {goal:g}",
        met=ratio >= goal if ratio else None,
        note=note,
    )


def beside(name: str, value: float, unit: str, peer: float, note: str = "") -> Figure:
    """A figure beside a peer's, without a goal."""
    return Figure(name, _round(value), unit, peer=_round(peer), ratio=_round(value / peer), note=note)


def plain(name: str, value: float, unit: str, note: str = "") -> Figure:
    """A figure without a goal: a peer's, or one that explains another."""
    return Figure(name, _round(value), unit, note=note)


def as_json(figures: Sequence[Figure]) -> str:
    """One JSON object."""
    return json.dumps({"figures": [asdict(figure) for figure in figures]}, indent=1)


def as_table(figures: Sequence[Figure]) -> str:
    """A table in Markdown, and below it the notes."""
    rows = [
        "| figure | value | peer | ratio | goal | met |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        *(
            f"| {one.name} | {one.value:g} {one.unit} | {_shown(one.peer)} | {_shown(one.ratio)} "
            f"| {one.goal or '-'} | {_MET[one.met]} |"
            for one in figures
        ),
    ]
    notes = [f"- {one.name}: {one.note}" for one in figures if one.note]
    return "\n".join([*rows, "", *notes])


_MET = {True: "yes", False: "no", None: "-"}


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


def _round(number: float) -> float:
    """Three digits are as many as such a measurement has."""
    return float(f"{number:.3g}") if abs(number) < 100 else float(round(number))
