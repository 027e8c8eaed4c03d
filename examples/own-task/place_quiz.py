"""Multiple choice, English only: which currency, language or city is this territory's? The intermediate task.

Every fact is asked both ways; wrong choices are of the same kind as the right one. Four choices: chance is 25 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from names import Entity, entities, names, shuffled

QUESTIONS: Final = {  # kind: (asked of a territory, asked of its currency, language or city)
    "currency": ("Which currency is used in {}?", "Where is the {} used?"),
    "language": ("Which language is official in {}?", "Where is {} an official language?"),
    "city": ("Which city lies in {}?", "Where does {} lie?"),
}
CHOICES: Final = 4
TODAY: Final = date(2025, 1, 1)  # of the currencies: fixed, or the files would change with the calendar
ROWS: Final = {"train": 240, "validation": 60}
FACTS: Final = 2  # of a territory and kind, at most: some territories have dozens of cities


def files() -> dict[str, list[dict[str, Any]]]:
    """Rows {text, choices, label}, by `<split>.en`: label is the index of the right choice."""
    return {
        "train.en": _rows("train", ("train",)),
        "validation.en": _rows("validation", ("train", "validation")),
    }


def _rows(split: str, pool: tuple[str, ...]) -> list[dict[str, Any]]:
    """Questions about the territories of a split; everything else named is from the splits of the pool."""
    rows = []
    for kind, (of_territory, of_other) in QUESTIONS.items():
        others = [entity for part in pool for entity in entities(kind, part)]
        territories = [entity for part in pool for entity in entities("territory", part)]
        for territory in entities("territory", split):
            right = _belonging(territory, kind)
            for other in shuffled((entity for entity in others if entity in right), territory)[:FACTS]:
                wrong = [entity for entity in others if entity not in right]
                rows.append(_row(of_territory, territory, other, wrong))
                wrong = [entity for entity in territories if other not in _belonging(entity, kind)]
                rows.append(_row(of_other, other, territory, wrong))
    return shuffled(rows, "place-quiz")[: ROWS[split]]


def _row(question: str, about: Entity, right: Entity, wrong: list[Entity]) -> dict[str, Any]:
    choices = shuffled([right, *shuffled(wrong, (about, right))[: CHOICES - 1]], (question, about, right))
    return {
        "text": question.format(names("en")[about]),
        "choices": [names("en")[choice] for choice in choices],
        "label": choices.index(right),
    }


def _belonging(territory: Entity, kind: str) -> frozenset[Entity]:
    """The entities of a kind that are a territory's: its currencies today, official languages, CLDR's cities."""
    _, code = territory
    keys: Iterable[str]
    match kind:
        case "currency":
            keys = get_territory_currencies(code, start_date=TODAY)
        case "language":
            keys = get_official_languages(code)
        case _:
            keys = get_global("territory_zones").get(code, ())
    return frozenset((kind, key) for key in keys)
