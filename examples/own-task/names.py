"""The names that the tasks are made of: CLDR's (through Babel), in ten languages of five scripts.

An entity is one thing that has a name in every language: (kind, key), such as ("currency", "CHF"). Every entity belongs
to one split for good, whatever task uses it, so that nothing named in a test file is named in an English training file.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Final, TypeVar

from babel import Locale
from babel.core import get_global

LANGUAGES: Final = ("en", "de", "es", "fr", "ru", "ar", "hi", "zh", "sw", "tr")
KINDS: Final = ("city", "currency", "language", "territory", "unit")
SPLITS: Final = {"train": 55, "validation": 10, "test": 35}  # percent of the entities

Entity = tuple[str, str]
Item = TypeVar("Item")


def shuffled(items: Iterable[Item], seed: object) -> list[Item]:
    """The items in an order that depends on them and the seed alone: not on hash seeds, nor on Python's version."""
    return sorted(items, key=lambda item: _number(f"{seed}|{item}"))


def chosen(items: Sequence[Item], seed: object) -> Item:
    """One of the items, by the seed."""
    return items[_number(seed) % len(items)]


def split_of(item: object) -> str:
    """The split that an item belongs to: a pure function of the item."""
    position = _number(item) % 100
    if position < SPLITS["train"]:
        return "train"
    return "validation" if position < SPLITS["train"] + SPLITS["validation"] else "test"


@cache
def entities(kind: str, split: str) -> tuple[Entity, ...]:
    """The entities of a kind in a split."""
    return tuple(sorted(entity for entity in names("en") if entity[0] == kind and split_of(entity) == split))


@cache
def names(language: str) -> Mapping[Entity, str]:
    """The name in a language of every entity that is clear in all ten languages."""
    return {entity: name for entity, name in _all_names(language).items() if entity in _clear_entities()}


@cache
def _clear_entities() -> frozenset[Entity]:
    """Entities whose name is letters only and no other entity's, in any language.

    So Singapore (city, territory) and Dinar (Serbian, with years in brackets) are out: nobody could say what they are.
    """
    unclear: set[Entity] = set()
    everywhere = set(_all_names("en"))
    for language in LANGUAGES:
        all_names = _all_names(language)
        everywhere &= set(all_names)
        count = Counter(name.casefold() for name in all_names.values())
        unclear |= {
            e for e, name in all_names.items() if count[name.casefold()] > 1 or re.search(r"[\d().,/%]", name)
        }
    return frozenset(everywhere - unclear)


@cache
def _all_names(language: str) -> dict[Entity, str]:
    locale = Locale.parse(language)
    found: dict[str, dict[str, str]] = {
        "city": {
            zone: locale.time_zones.get(zone, {}).get("city")
            or zone.split("/")[-1].replace("_", " ")  # CLDR's rule
            for zone in get_global("zone_territories")
            if not zone.startswith("Etc/")
        },
        "currency": _only(locale.currencies, lambda key: key not in {"XXX", "XTS"}),
        "language": _only(locale.languages, lambda key: len(key) <= 3 and key not in {"mul", "und", "zxx"}),
        "territory": _only(
            locale.territories,
            lambda key: len(key) == 2 and key not in {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"},
        ),
        "unit": {
            key: display.get("long") or display["short"]
            for key, display in locale.unit_display_names.items()
            if "short" in display
        },
    }
    return {(kind, key): name for kind in KINDS for key, name in sorted(found[kind].items())}


def _only(table: Mapping[str, str], wanted: Callable[[str], bool]) -> dict[str, str]:
    return {key: name for key, name in table.items() if wanted(key)}


def _number(value: object) -> int:
    return int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:8])
