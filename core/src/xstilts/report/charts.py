"""What the figures are of: from an experiment's numbers to panels and heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from xstilts.catalogue import ENGLISH
from xstilts.catalogue.languages import language_name
from xstilts.report.figures import (
    Drawing,
    Mark,
    Panel,
    Row,
    darkest,
    draw,
    label_width,
    legend,
    limits_of,
    shade,
)
from xstilts.results import Combination, Results, combinations
from xstilts.results.measured import Measured
from xstilts.results.robustness import LanguageDelta
from xstilts.results.rows import Evaluation
from xstilts.results.words import cell_relation, plural, signed
from xstilts.spec.fields import BASELINE

FLAGGED: Final = "† in-task, overlap or language seen."


@dataclass(frozen=True)
class Chart:
    """A titled row of figures, named each, on one axis."""

    title: str
    series: tuple[str, ...]
    figures: tuple[tuple[str, Drawing], ...]
    note: str = ""

    @property
    def legend(self) -> Markup:
        """The series beside their marks, where there are several."""
        return legend(self.series) if len(self.series) > 1 else Markup("")


@dataclass(frozen=True)
class HeatCell:
    """A delta in words, the class that colours it, and its relation."""

    text: str
    shade: str
    relation: str


@dataclass(frozen=True)
class Heatmap:
    """Intermediates (rows) by targets (columns) of one model; its colours end at the size `darkest`, in points."""

    model: str
    darkest: float
    targets: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]


def heatmaps(results: Results) -> list[Heatmap]:
    """Mean deltas of XTREME's score, on one scale of colours for all models."""
    rows = {(row.model, row.intermediate, row.target): row for row in combinations(results)}
    deltas = {names: row.delta.mean for names, row in rows.items() if row.delta}
    most = darkest(deltas.values())
    names = [name for name in results.intermediates if name != BASELINE]
    return [
        Heatmap(
            model=model,
            darkest=most,
            targets=tuple(results.targets),
            rows=tuple(
                (
                    name,
                    tuple(
                        HeatCell(
                            signed(delta := deltas.get((model, name, target))),
                            "" if delta is None else shade(delta, most),
                            cell_relation(results, name, target),
                        )
                        for target in results.targets
                    ),
                )
                for name in names
            ),
        )
        for model in results.models
        if any(of_model == model for of_model, _, _ in deltas)
    ]


def forests(results: Results, deltas: Sequence[LanguageDelta]) -> list[Chart]:
    """A chart a target: deltas by language with their intervals, a panel an intermediate."""
    charts = []
    for index, target in enumerate(dict.fromkeys(one.target for one in deltas)):
        of_target = [one for one in deltas if one.target == target]
        names = list(dict.fromkeys(one.intermediate for one in of_target))
        panels = [_forest(results, [one for one in of_target if one.intermediate == name]) for name in names]
        charts.append(
            _chart(target, panels, tuple(results.models), names, f"forest-{index}", _coverage(of_target))
        )
    return charts


def _forest(results: Results, deltas: Sequence[LanguageDelta]) -> Panel:
    models = list(results.models)
    rows = []
    for code in dict.fromkeys(one.language for one in deltas):
        marks = tuple(
            Mark(
                models.index(one.model),
                one.delta.estimate,
                one.delta.low if one.delta.known else None,
                one.delta.high if one.delta.known else None,
            )
            for one in deltas
            if one.language == code
        )
        flagged = any(one.flagged for one in deltas if one.language == code)
        rows.append(Row(_label(code), marks, flagged))
    first = deltas[0]
    above = sum(one.delta.low > 0 for one in deltas if one.delta.known)
    below = sum(one.delta.high < 0 for one in deltas if one.delta.known)
    return Panel(
        title=f"{first.target} after {first.intermediate}: delta by language",
        description=f"Of {plural(len(deltas), 'interval')}, {above} lie above 0 and {below} below; the table has the numbers.",
        rows=tuple(rows),
        series=tuple(models),
        zero=True,
    )


def _coverage(deltas: Sequence[LanguageDelta]) -> str:
    found = {(one.delta.covers_seeds, one.delta.covers_items) for one in deltas}
    said = {
        (True, True): "Lines are 95 % intervals over seeds and test items.",
        (False, True): "Lines are 95 % intervals over the choice of test items only, not over seeds.",
        (True, False): "Lines are 95 % intervals over seeds only, not over test items.",
        (False, False): "No intervals: one or two seeds, and nothing known of single items.",
    }
    flagged = [FLAGGED] if any(one.flagged for one in deltas) else []
    return " ".join([*(said[one] for one in sorted(found, reverse=True)), *flagged])


def language_bars(results: Results) -> list[Chart]:
    """A chart a target: scores by language, a bar a model, a panel an intermediate."""
    rows = combinations(results)
    charts = []
    for index, target in enumerate(results.targets):
        of_target = [row for row in rows if row.target == target]
        if not of_target:
            continue
        names = [name for name in results.intermediates if any(row.intermediate == name for row in of_target)]
        panels = [
            _bars(results, [row for row in of_target if row.intermediate == name], target) for name in names
        ]
        note = FLAGGED if any(row.flagged for one in panels for row in one.rows) else ""
        charts.append(_chart(target, panels, tuple(results.models), names, f"bars-{index}", note))
    return charts


def _bars(results: Results, rows: Sequence[Combination], target: str) -> Panel:
    models = list(results.models)
    codes = sorted({code for row in rows for code in row.languages}, key=lambda code: (code != ENGLISH, code))
    name = rows[0].intermediate
    chance = results.chance.get(target, {})
    guesses = {round(chance[code], 2) for code in codes if code in chance}
    return Panel(
        title=f"{target} after {name}: score by language",
        description=" ".join(
            f"{row.model}: from {min(one.mean for one in row.languages.values()):.1f} to "
            f"{max(one.mean for one in row.languages.values()):.1f}."
            for row in rows
        ),
        rows=tuple(
            Row(
                _label(code),
                tuple(
                    Mark(models.index(row.model), row.languages[code].mean)
                    for row in rows
                    if code in row.languages
                ),
                name != BASELINE and results.relation(name, target, code).flagged,
            )
            for code in codes
        ),
        series=tuple(models),
        bars=True,
        line=(guesses.pop(), "chance") if len(guesses) == 1 else None,
        limits=(0.0, 100.0),
    )


def seed_spread(measured: Measured) -> list[Chart]:
    """A chart a target that has two seeds or more somewhere: the score of each; those that have collapsed are hollow."""
    results = measured.results
    charts = []
    for index, target in enumerate(measured.targets):
        others = [code for code in measured.languages(target) if code != ENGLISH]
        if not others:
            continue
        panels, names = [], []
        for model in results.models:
            rows = []
            for name in results.intermediates:
                marks = [
                    Mark(
                        list(results.models).index(model),
                        sum(scores) / len(scores),
                        hollow=Evaluation(model, name, target, seed) in measured.collapsed,
                    )
                    for seed in measured.seeds(model, name, target)
                    if (
                        scores := [
                            score
                            for code in others
                            if (score := measured.mean_score(model, name, target, code, seed)) is not None
                        ]
                    )
                ]
                if marks:
                    rows.append(Row(name, tuple(marks), bool(cell_relation(results, name, target))))
            if rows:
                names.append(model)
                seeds = max(len(row.marks) for row in rows)
                panels.append(
                    Panel(
                        title=f"{target}, {model}: the zero-shot mean of every seed",
                        description=f"{plural(len(rows), 'row')} of up to {plural(seeds, 'seed')}.",
                        rows=tuple(rows),
                        series=tuple(results.models),
                    )
                )
        if any(len(row.marks) > 1 for panel in panels for row in panel.rows):
            hollow = any(mark.hollow for panel in panels for row in panel.rows for mark in row.marks)
            flagged = any(row.flagged for panel in panels for row in panel.rows)
            said = ["Hollow: no better than a blind guess in English."] if hollow else []
            note = " ".join([*said, FLAGGED] if flagged else said)
            charts.append(_chart(target, panels, tuple(results.models), names, f"seeds-{index}", note))
    return charts


def _chart(
    title: str, panels: Sequence[Panel], series: tuple[str, ...], names: Sequence[str], prefix: str, note: str
) -> Chart:
    """Panels on one axis, with labels of one width."""
    rows = [row for panel in panels for row in panel.rows]
    limits = panels[0].limits or limits_of(rows, zero=panels[0].zero)
    figures = tuple(
        (name, draw(replace(panel, limits=limits, labels=label_width(rows)), f"{prefix}-{number}"))
        for number, (name, panel) in enumerate(zip(names, panels, strict=True))
    )
    return Chart(title, series, figures, note)


def _label(code: str) -> str:
    name = language_name(code)
    return code if name == code else f"{name} {code}"
