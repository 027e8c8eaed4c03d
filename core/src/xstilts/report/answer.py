"""The answer in sentences, made from the primary answer's rows: every word that a number decides is chosen here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xstilts.results import Results
from xstilts.results.collapse import collapse_notes, collapsed
from xstilts.results.main import LEVEL
from xstilts.results.primary import Cells, PrimaryRow, unanswered
from xstilts.results.primary_table import contrast
from xstilts.results.table import OF_E5
from xstilts.results.words import cell_relation, edge_words, p_value, plural, signed, span
from xstilts.spec import Analysis
from xstilts.spec.fields import BASELINE
from xstilts.stage import Family

UNTESTED = "no contrast is tested over trainings with fewer than three seeds"
NAMED = 3  # so many contrasts of a measure are told one by one

MEASURES = {
    "meanZeroShot": "the mean over the languages other than English",
    "transferGap": "the transfer gap",
    "worstLanguage": "the score in the language that is worst for none",
}


@dataclass(frozen=True)
class Answer:
    """Sentences that answer, and sentences that say how far."""

    sentences: tuple[str, ...]
    limits: tuple[str, ...]


def answer(rows: Sequence[PrimaryRow], results: Results, analysis: Analysis) -> Answer:
    """What the primary rows say; why there are none where there are none."""
    whole = [row for row in rows if row.cells is Cells.ALL]
    if not whole:
        return Answer((f"No answer yet: {_why_not(results, analysis)}.",), tuple(_partial(results)))
    sentences = [sentence for group in _groups(whole) for sentence in _measure_sentences(group)]
    return Answer(tuple(sentences), tuple(_limits(rows, whole, results)))


def _groups(rows: Sequence[PrimaryRow]) -> list[list[PrimaryRow]]:
    """The rows of one question each: target, models and measure."""
    found: dict[tuple[str, str, str | None, str], list[PrimaryRow]] = {}
    for row in rows:
        found.setdefault((row.target, row.model, row.reference, row.measure), []).append(row)
    return list(found.values())


def _measure_sentences(rows: Sequence[PrimaryRow]) -> Iterator[str]:
    first = rows[0]
    if len(rows) <= NAMED:
        for row in rows:
            yield f"On {row.target}, {_changed(row)} ({_how_sure(row)})."
        return
    tested = _tested(rows)
    sure = [row for row in rows if _is_sure(row)]
    what = (
        f"the effect of the intermediate on {MEASURES[first.measure]} differs between {first.model} and {first.reference} "
        f"({contrast(first)})"
        if first.reference
        else f"{MEASURES[first.measure]} of {first.model} differs from that without one"
    )
    of_those = "" if len(tested) == len(rows) else " with three seeds or more"
    if sure:
        told = "; ".join(f"{row.intermediate} {_short(row)}" for row in sure)
        yield (
            f"On {first.target}, {what}, with a corrected p below {LEVEL}, after {len(sure)} of "
            f"{len(tested)} intermediates{of_those}: {told}."
        )
        return
    found = (
        f"it is after no intermediate of the {len(tested)}{of_those} that {what} with a corrected p below {LEVEL}"
        if tested
        else f"{UNTESTED}, so after none of the {len(rows)} intermediates is it known whether {what}"
    )
    largest = max(tested or rows, key=lambda row: abs(row.points.estimate))
    yield (
        f"On {first.target}, {found}; the largest difference is {_short(largest)} after {largest.intermediate}."
    )


def _changed(row: PrimaryRow) -> str:
    """A contrast of two models with both deltas: its sign alone does not say which of them changed more."""
    measure = MEASURES[row.measure]
    if row.reference is None:
        size = abs(row.points.estimate)
        if round(size, 2) == 0:
            return f"{measure} of {row.model} is the same after {row.intermediate} as without it"
        word = "higher" if row.points.estimate > 0 else "lower"
        return (
            f"{measure} of {row.model} is {size:.2f} points {word} after {row.intermediate} than without it"
        )
    moves = " and ".join(
        f"{_moves(delta)} for {model}"
        for model, delta in zip((row.model, row.reference), row.deltas, strict=True)
    )
    return (
        f"after {row.intermediate} {measure} {moves}: the difference, {contrast(row)}, is "
        f"{signed(row.points.estimate, 2)} points"
    )


def _moves(delta: float) -> str:
    if round(delta, 2) == 0:
        return "stays as it is"
    return f"{'rises' if delta > 0 else 'falls'} by {abs(delta):.2f} points"


def _how_sure(row: PrimaryRow) -> str:
    if not row.points.known:
        return "no interval: one or two seeds, and nothing known of single items"
    said = f"95 % interval {span(row.points.low, row.points.high, 2)}, corrected p {p_value(row.adjusted)}"
    if not row.points.covers_seeds:
        return f"{said}, over the choice of test items alone: {_trainings(row)}"
    return said if _is_sure(row) else f"{said}: a difference of 0 is not ruled out"


def _trainings(row: PrimaryRow) -> str:
    return f"{plural(min(row.seeds), 'seed')} cannot tell it from the noise of training"


def _short(row: PrimaryRow) -> str:
    parts = [span(row.points.low, row.points.high, 2)] if row.points.known else []
    if row.reference is not None:
        of_each = zip((row.model, row.reference), row.deltas, strict=True)
        parts.append(", ".join(f"{model} {signed(delta, 2)}" for model, delta in of_each))
    return f"{signed(row.points.estimate, 2)}" + (f" ({'; '.join(parts)})" if parts else "")


def _tested(rows: Sequence[PrimaryRow]) -> list[PrimaryRow]:
    """Those that are tested over trainings."""
    return [row for row in rows if row.points.covers_seeds]


def _is_sure(row: PrimaryRow) -> bool:
    """Whether a difference holds against seeds and correction: never with seeds that an interval does not cover."""
    return row.points.covers_seeds and row.adjusted < LEVEL


def _limits(rows: Sequence[PrimaryRow], whole: Sequence[PrimaryRow], results: Results) -> Iterator[str]:
    yield from _partial(results)
    if any(not row.points.covers_seeds for row in whole):
        yield "With fewer than three seeds a model, no interval covers what other trainings would have given."
    if any(not row.points.covers_items and row.points.known for row in whole):
        yield "Where it is not known which items were right, intervals cover the seeds and not the choice of test items."
    detectable = [row.detectable for row in _tested(whole)]
    if detectable:
        low, high = min(detectable), max(detectable)
        sizes = f"{low:.2f}" if round(low, 2) == round(high, 2) else f"{low:.2f} to {high:.2f}"
        yield (
            f"A true difference smaller than {sizes} points, were it the only one, would more often than one time in five not "
            "have been found."
        )
    yield from _without_flagged(rows, whole, results)
    yield from collapse_notes(collapsed(results))
    if edge := edge_words(results):
        yield edge
    if Family.E5 in results.models.values():
        yield OF_E5
    targets = list(dict.fromkeys(row.target for row in whole))
    yield f"It is an answer for {', '.join(targets)} and the models {', '.join(results.models)}, and for no other task or model."


def _without_flagged(
    rows: Sequence[PrimaryRow], whole: Sequence[PrimaryRow], results: Results
) -> Iterator[str]:
    flagged = {
        (name, target): words
        for name, target in dict.fromkeys((row.intermediate, row.target) for row in whole)
        if (words := cell_relation(results, name, target))
    }
    if not flagged:
        return
    targets = {target for _, target in flagged}  # the others have no rows without such cells
    those = [row for row in whole if row.target in targets]
    without = [row for row in rows if row.cells is Cells.UNRELATED]
    if not without:
        left = "nothing is left"
    elif not _tested([*without, *those]):
        left = f"and with them, {UNTESTED}"
    else:
        left = f"{_found(without)} over trainings have a corrected p below {LEVEL}, with them {_found(those)}"
    named = "; ".join(f"{name} on {target} ({words})" for (name, target), words in flagged.items())
    yield f"Not only the effect of another skill: {named}. Without these cells {left}."


def _found(rows: Sequence[PrimaryRow]) -> str:
    tested = _tested(rows)
    return f"{sum(map(_is_sure, tested))} of {plural(len(tested), 'contrast')}"


def _partial(results: Results) -> Iterator[str]:
    if results.partial:
        yield f"Partial: {plural(len(results.missing), 'planned evaluation')} without scores; what follows is over the others."


def _why_not(results: Results, analysis: Analysis) -> str:
    if not results.rows:
        return "no evaluation has scores"
    if BASELINE not in results.intermediates:
        return "the experiment has no none to compare with"
    reasons = unanswered(results, analysis)
    return reasons[0].reason if reasons else "the experiment has no intermediate"
