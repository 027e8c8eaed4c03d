"""Tagging: find persons, places, dates and amounts of money in a list such as "Ann Lee, 3 March 2021, Paris, and €5".

The items are CLDR's and Faker's, written and joined as each language does it; names of languages and units are between
them, untagged. Trained on English lines. A guess that knows nothing scores an F1 of about zero.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from typing import Any, Final, Literal

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency
from faker import Faker
from names import LANGUAGES, Entity, chosen, entities, names, shuffled, split_of

LINES: Final = {"train": 192, "validation": 30, "test": 40}
ITEMS: Final = 4  # items a line
KINDS: Final = ("PER", "LOC", "DATE", "MONEY", "O")
PERSONS: Final = {
    "en": "en_US",
    "de": "de_DE",
    "es": "es_ES",
    "fr": "fr_FR",
    "ru": "ru_RU",
    "ar": "ar_SA",
    "hi": "hi_IN",
    "zh": "zh_CN",
    "sw": "sw",
    "tr": "tr_TR",
}

Tagged = list[tuple[str, str]]  # (token, tag)


def files() -> dict[str, list[dict[str, Any]]]:
    """Rows {tokens, tags} by `<split>.<language>`; test lines hold the same items in every language, persons apart."""
    english = {f"{split}.en": _rows(split, "en") for split in ("train", "validation")}
    return english | {f"test.{language}": _rows("test", language) for language in LANGUAGES}


def _rows(split: str, language: str) -> list[dict[str, Any]]:
    rows = []
    for number in range(LINES[split]):
        seed = f"{split} {number}"
        kinds = shuffled(KINDS, seed)[:ITEMS]
        line = _join([_item(kind, split, language, f"{seed} {kind}") for kind in kinds], language)
        rows.append({"tokens": [token for token, _ in line], "tags": [tag for _, tag in line]})
    return rows


def _item(kind: str, split: str, language: str, seed: str) -> Tagged:
    match kind:
        case "PER":
            text = chosen(_persons(language, split), seed)
        case "DATE":
            text = format_date(
                chosen(_days(split), seed), chosen(("full", "long", "medium"), f"{seed} form"), language
            )
        case "MONEY":
            amount, (_, code) = chosen(range(2, 5000), seed), _entity(("currency",), split, seed)
            written: Literal["name", "standard"] = chosen(("name", "standard"), f"{seed} form")
            text = format_currency(amount, code, locale=language, format_type=written)
        case "LOC":
            text = names(language)[_entity(("city", "territory"), split, seed)]
        case _:
            text = names(language)[_entity(("language", "unit"), split, seed)]
    return _tagged(text, language, kind)


def _entity(kinds: tuple[str, ...], split: str, seed: str) -> Entity:
    return chosen(entities(chosen(kinds, f"{seed} kind"), split), f"{seed} entity")


@cache
def _days(split: str) -> list[date]:
    days = (date(1990, 1, 1) + timedelta(number) for number in range(40 * 365))
    return [day for day in days if split_of(day) == split]


@cache
def _persons(language: str, split: str) -> list[str]:
    """Persons' names in the order and script of the language, each in one split."""
    faker = Faker(PERSONS[language])
    faker.seed_instance(1)
    pairs = {(faker.first_name(), faker.last_name()) for _ in range(400)}
    persons = (last + first if language == "zh" else f"{first} {last}" for first, last in pairs)
    return sorted(person for person in persons if split_of(person) == split)


def _tagged(text: str, language: str, kind: str) -> Tagged:
    """The tokens of an item with IOB2 tags."""
    tokens = _tokens(text, language)
    if kind == "O":
        return [(token, "O") for token in tokens]
    return [(token, f"{'I' if position else 'B'}-{kind}") for position, token in enumerate(tokens)]


def _tokens(text: str, language: str) -> list[str]:
    """Split at white space, before a comma that ends a word, and in Chinese around every Han character.

    Direction marks are dropped.
    """
    plain = re.sub("[\u200e\u200f\u061c]", "", text)
    if language == "zh":
        plain = re.sub("([\u3400-\u9fff\u3001\uff0c])", r" \1 ", plain)
    return re.sub(r"([,،])(?!\S)", r" \1", plain).split()


def _join(items: list[Tagged], language: str) -> Tagged:
    """The items as a list of the language: CLDR's pattern, its words and commas tagged O."""
    patterns = Locale.parse(language).list_patterns["standard"]
    line = items[0]
    for position, item in enumerate(items[1:], 1):
        place = "end" if position == len(items) - 1 else "start" if position == 1 else "middle"
        glue = patterns[place].removeprefix("{0}").removesuffix("{1}")
        line = [*line, *((token, "O") for token in _tokens(glue, language)), *item]
    return line
