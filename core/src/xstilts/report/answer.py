"""The answer in sentences, made from the primary answer's rows: every word that a number decides is chosen here.

It begins with what was found, a sentence for each pair of models (or for the one model there is). Then come the contrasts, and
last what the answer does not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from xstilts.results import Results
from xstilts.results.collapse import collapse_notes, collapsed
from xstilts.results.main import LEVEL
from xstilts.results.primary import Cells, PrimaryRow, unanswered
from xstilts.results.primary_table import TITLES, row_relation, unanswered_words
from xstilts.results.table import OF_E5
from xstilts.results.words import cell_relation, edge_words, p_value, plural, signed, span
from xstilts.spec import Analysis
from xstilts.spec.fields import BASELINE
from xstilts.stage import Family
from xstilts.statistics import Interval

NAMED = 3  # so many contrasts are told one by one

MEASURES = {
    "meanZeroShot": "the mean zero-shot score",
    "transferGap": "the transfer gap",
    "worstLanguage": "the score in the language that is worst for none",
}
MEANINGS = {
    "meanZeroShot": "The mean zero-shot score is the mean over the languages other than English.",
    "transferGap": "The transfer gap is English minus the mean of the other languages.",
}


@dataclass(frozen=True)
class Answer:
    """An answer in words.

    Attributes:
        headlines: what was found, for each pair of models; or why there is no answer.
        findings: each contrast; of a measure with many those that were found, or the largest.
        limits: what must be known before it is believed.
    """

    headlines: tuple[str, ...]
    findings: tuple[str, ...]
    limits: tuple[str, ...]


def answer(rows: Sequence[PrimaryRow], results: Results, analysis: Analysis) -> Answer:
    """What the primary rows say; why there are none where there are none."""
    whole = [row for row in rows if row.cells is Cells.ALL]
    if not whole:
        still = " yet" if results.partial else ""
        return Answer((f"No answer{still}: {_why_not(results, analysis)}.",), (), tuple(_partial(results)))
    of_models: dict[tuple[str, str | None], list[PrimaryRow]] = {}
    for row in whole:
        of_models.setdefault((row.model, row.reference), []).append(_marked(row, results))
    headlines = [_headline(of) for of in of_models.values()]
    if results.partial:
        headlines = [f"So far, {one[0].lower()}{one[1:]}" for one in headlines]
    findings = [_findings(group) for of in of_models.values() if len(of) > 1 for group in _measures(of)]
    return Answer(
        tuple(headlines),
        tuple(chain.from_iterable(findings)),
        tuple(_limits(rows, whole, results, analysis)),
    )


def _marked(row: PrimaryRow, results: Results) -> PrimaryRow:
    """With what the intermediate has seen of the target behind its name."""
    relation = row_relation(results, row)
    return replace(row, intermediate=f"{row.intermediate} [{relation}]") if relation else row


def _headline(rows: Sequence[PrimaryRow]) -> str:
    """Of a pair of models, or of one model: in how many contrasts something was found, and what."""
    if len(rows) == 1:
        return _finding(rows[0])
    first, tested, sure = rows[0], _tested(rows), _sure(rows)
    what, minus = f"effect of intermediate training on {first.model}", ""
    if first.reference:
        what = (
            f"difference between {first.model} and {first.reference} in the effect of intermediate training"
        )
        minus = f" Differences are {first.model} minus {first.reference}."
    most = _largest(sure or tested or rows)
    largest = f"the largest is {_told(most)}"
    contrasts = plural(len(tested or rows), "contrast") + _of_those(rows)
    if not tested:
        return (
            f"It is not known whether there is {_article(what)}: with one or two seeds none can be told from the noise of "
            f"training. Of {contrasts} {largest}.{minus}"
        )
    if not sure:
        return f"No {what} was found in {contrasts}; {largest}.{_how_sure(most)[1]}{minus}"
    told = f"; {largest}" if len(sure) > NAMED else f": {'; '.join(map(_told, sure))}"
    found = _article(what)
    return f"{found[0].upper()}{found[1:]} was found in {len(sure)} of {contrasts}{told}.{minus}"


def _told(row: PrimaryRow) -> str:
    alone = "" if row.points.covers_seeds else " over test items alone"
    reach = f" (95 % interval {span(row.points.low, row.points.high, 2)}{alone})" if row.points.known else ""
    points = f"{signed(row.points.estimate, 2)} points"
    return f"{points} in {MEASURES[row.measure]} on {row.target} after {row.intermediate}{reach}"


def _measures(rows: Sequence[PrimaryRow]) -> list[list[PrimaryRow]]:
    """The rows of each target and measure."""
    found: dict[tuple[str, str], list[PrimaryRow]] = {}
    for row in rows:
        found.setdefault((row.target, row.measure), []).append(row)
    return list(found.values())


def _findings(rows: Sequence[PrimaryRow]) -> Iterator[str]:
    """Of one target, measure and pair of models."""
    if len(rows) <= NAMED:
        yield from map(_finding, rows)
        return
    first, tested, sure = rows[0], _tested(rows), _sure(rows)
    what = (
        f"difference between {first.model} and {first.reference}"
        if first.reference
        else f"effect on {first.model}"
    )
    intermediates = plural(len(tested or rows), "intermediate") + _of_those(rows)
    if sure:
        said = (
            f"{_article(what)} was found after {len(sure)} of {intermediates}: {'; '.join(map(_short, sure))}"
        )
    else:
        found = "was found" if tested else "can be told from the noise of training"
        said = f"no {what} {found} after {intermediates}; the largest is {_short(_largest(tested or rows))}"
    yield f"On {first.target}, for {MEASURES[first.measure]}, {said}."


def _short(row: PrimaryRow) -> str:
    parts = [span(row.points.low, row.points.high, 2)] if row.points.known else []
    if row.reference is not None:
        of_each = zip((row.model, row.reference), row.deltas, strict=True)
        parts.append(", ".join(f"{model} {signed(delta, 2)}" for model, delta in of_each))
    return f"{row.intermediate} {signed(row.points.estimate, 2)}" + (
        f" ({'; '.join(parts)})" if parts else ""
    )


def _finding(row: PrimaryRow) -> str:
    """One contrast; of two models with both deltas, since its sign alone does not say which of them changed more."""
    inside, after = _how_sure(row)
    if row.reference is None:
        return (
            f"On {row.target}, after {row.intermediate}, {MEASURES[row.measure]} of {row.model} "
            f"{_moves(row.points.estimate)} ({inside}).{after}"
        )
    moves = " and ".join(
        f"{_moves(delta)} for {model}"
        for model, delta in zip((row.model, row.reference), row.deltas, strict=True)
    )
    return (
        f"On {row.target}, after {row.intermediate}, {MEASURES[row.measure]} {moves}. The difference "
        f"({row.model} minus {row.reference}) is {signed(row.points.estimate, 2)} points ({inside}).{after}"
    )


def _moves(delta: float) -> str:
    way = "changes" if round(delta, 2) == 0 else "rises" if delta > 0 else "falls"
    return f"{way} by {abs(delta):.2f} points"


def _how_sure(row: PrimaryRow) -> tuple[str, str]:
    """The interval and p, and a sentence where they do not tell a contrast from 0."""
    if not row.points.known:
        return "no interval: one or two seeds, and nothing known of single items", ""
    reach, p = span(row.points.low, row.points.high, 2), f"corrected p {p_value(row.adjusted)}"
    if not row.points.covers_seeds:
        few = plural(min(row.seeds), "seed")
        return (
            f"95 % interval {reach} over the choice of test items alone, {p}",
            f" {few} cannot tell it from the noise of training.",
        )
    if row.adjusted < LEVEL:
        return f"95 % interval {reach}, {p}", ""
    corrected = "After the correction, " if row.points.p_value < LEVEL else ""
    return f"95 % interval {reach}, {p}", f" {corrected}0 is not ruled out."


def _tested(rows: Sequence[PrimaryRow]) -> list[PrimaryRow]:
    """Those that are tested over trainings."""
    return [row for row in rows if row.points.covers_seeds]


def _sure(rows: Sequence[PrimaryRow]) -> list[PrimaryRow]:
    """Those that hold against seeds and correction: none with seeds that its interval does not cover."""
    return [row for row in _tested(rows) if row.adjusted < LEVEL]


def _largest(rows: Sequence[PrimaryRow]) -> PrimaryRow:
    return max(rows, key=lambda row: abs(row.points.estimate))


def _of_those(rows: Sequence[PrimaryRow]) -> str:
    """What those that are counted have, where they are not all."""
    return " with three seeds or more" if 0 < len(_tested(rows)) < len(rows) else ""


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _limits(
    rows: Sequence[PrimaryRow], whole: Sequence[PrimaryRow], results: Results, analysis: Analysis
) -> Iterator[str]:
    yield from _partial(results)
    if asked := unanswered(results, analysis):
        yield unanswered_words(asked)
    tested = _tested(whole)
    if tested and len(whole) > 1:
        yield f"Found means that the p-value, corrected over all that is asked of a target ({analysis.correction}), is below {LEVEL}."
    if len(tested) < len(whole):
        yield (
            "With one or two seeds an interval covers the choice of test items alone. Other trainings may give another "
            "result."
        )
    if any(not row.points.covers_items and row.points.known for row in whole):
        yield (
            "Where it is not known which items were right, an interval covers the seeds alone. Other test items may give "
            "another result."
        )
    if tested:
        low, high = (least(row.detectable for row in tested) for least in (min, max))
        sizes = f"{low:.2f}" if round(low, 2) == round(high, 2) else f"{low:.2f} to {high:.2f}"
        which = "" if len(tested) == 1 else ", depending on the contrast,"
        yield (
            f"Small differences can be missed. A true difference must be {sizes} points or larger{which} to be found four "
            "times in five (if it is the only one)."
        )
    yield from _of_scale(whole)
    yield from _without_flagged(rows, whole, results)
    yield from collapse_notes(collapsed(results))
    if edge := edge_words(results):
        yield edge
    if Family.E5 in results.models.values():
        yield OF_E5
    targets = ", ".join(dict.fromkeys(row.target for row in whole))
    models = f"model{'' if len(results.models) == 1 else 's'} {', '.join(results.models)}"
    yield f"The answer is for {targets} and the {models}, and for no other task or model."
    yield from (MEANINGS[one] for one in dict.fromkeys(row.measure for row in whole) if one in MEANINGS)


def _of_scale(rows: Sequence[PrimaryRow]) -> Iterator[str]:
    """Which contrasts are told from 0, or are on a side of it, on one scale alone."""
    other = [row for row in rows if row.log_odds and _side(row.points) != _side(row.log_odds)]
    if other:
        named = "; ".join(
            f"{row.intermediate} on {row.target}, {TITLES[row.measure]}" for row in other[:NAMED]
        )
        more = "; …" if len(other) > NAMED else ""
        yield (
            f"The scale matters in {plural(len(other), 'contrast')}: the interval in points and that in log-odds do not lie "
            f"on the same side of 0 ({named}{more})."
        )


def _side(of: Interval) -> int:
    """Above 0, below it, or over it."""
    return (of.low > 0) - (of.high < 0)


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
        left = "Without these cells nothing is left."
    elif not _tested([*without, *those]):
        left = "Without these cells, as with them, no contrast has three seeds to be tested over."
    else:
        left = f"Found without these cells: {_found(without)}. With them: {_found(those)}."
    named = "; ".join(f"{name} on {target} ({words})" for (name, target), words in flagged.items())
    yield f"Some intermediates have seen the target's training data, or labels in its languages: {named}. {left}"


def _found(rows: Sequence[PrimaryRow]) -> str:
    return f"{len(_sure(rows))} of {plural(len(_tested(rows)), 'contrast')}"


def _partial(results: Results) -> Iterator[str]:
    if results.partial:
        has = "has" if len(results.missing) == 1 else "have"
        yield f"Partial: {plural(len(results.missing), 'planned evaluation')} {has} no scores, and the answer is without them."


def _why_not(results: Results, analysis: Analysis) -> str:
    if not results.rows:
        return "no evaluation has scores"
    if BASELINE not in results.intermediates:
        return "the experiment has no none to compare with"
    reasons = unanswered(results, analysis)
    return reasons[0].reason if reasons else "the experiment has no intermediate"
