"""How numbers and relations are put in words, in every table alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from xstilts.catalogue.overlap import TrainingOverlap
from xstilts.results.main import LEVEL
from xstilts.results.rows import Results

ABSENT: Final = "–"  # noqa: RUF001 - an en dash stands for what is not defined
OVERLAP: Final = {
    TrainingOverlap.NONE: "",
    TrainingOverlap.PARTIAL: "overlap",
    TrainingOverlap.SAME: "in-task",
}
RELATION_MEANING: Final = (
    "in-task: the intermediate is the target's own training data, alone or in a mix; overlap: it shares rows with it; "
    "seen: it has labels in these languages"
)


def relation_words(overlap: TrainingOverlap, languages_seen: Iterable[str]) -> str:
    """What an intermediate has seen of a target; nothing where nothing."""
    seen = list(languages_seen)
    words = [OVERLAP[overlap]] if OVERLAP[overlap] else []
    return ", ".join(words + ([f"seen: {' '.join(seen)}"] if seen else []))


def cell_relation(results: Results, intermediate: str, target: str) -> str:
    """The same for a cell: the strongest over the target's languages."""
    relations = {
        language: one
        for (name, of_target, language), one in results.relations.items()
        if (name, of_target) == (intermediate, target)
    }
    overlap = max((one.overlap for one in relations.values()), default=TrainingOverlap.NONE)
    return relation_words(overlap, sorted(code for code, one in relations.items() if one.language_seen))


def edge_words(results: Results) -> str:
    """How many sweeps have chosen a rate beyond which nothing was tried, and of which models; nothing where none has."""
    at_edge = [one for one in results.rates if one.edge]
    if not at_edge:
        return ""
    models = ", ".join(dict.fromkeys(one.model for one in at_edge))
    return (
        f"{len(at_edge)} of {plural(len(results.rates), 'learning rate')} that sweeps chose "
        f"{'is' if len(at_edge) == 1 else 'are'} the smallest or the largest that was tried ({models}). A better one may "
        "lie beyond: the grid was too narrow there."
    )


def partial_words(results: Results) -> str:
    """What a title ends with where a planned evaluation has no scores."""
    return " (partial)" if results.partial else ""


def signed(value: float | None, digits: int = 1) -> str:
    """A difference, with its sign; what rounds to 0 has none."""
    if value is None:
        return ABSENT
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def end(value: float, digits: int = 1) -> str:
    """An end of an interval: where it would round to 0, with the digits that tell on which side it lies, up to three more."""
    longer = (signed(value, digits + more) for more in range(4))
    return next((text for text in longer if float(text)), signed(value, digits))


def span(low: float, high: float, digits: int = 1) -> str:
    """The ends of an interval."""
    return f"{end(low, digits)} to {end(high, digits)}"


def p_value(value: float | None) -> str:
    """A p-value, never rounded up to the level that it is below."""
    if value is None:
        return ABSENT
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if round(value, 3) < LEVEL or value >= LEVEL else "< 0.050"


def plural(count: int, word: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {word}" + ("" if count == 1 else "s")
