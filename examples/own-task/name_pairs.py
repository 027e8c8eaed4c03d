"""Retrieval: find the name of an English name's entity among the names in another language. Nothing is trained for it.

Names that some language spells as English does are left out: they would be found without knowing anything. Chance is
1 %, one in the number of names.
"""

from __future__ import annotations

from typing import Any, Final

from names import LANGUAGES, entities, names, shuffled

KINDS: Final = ("currency", "language", "territory", "unit")
PAIRS: Final = 100


def files() -> dict[str, list[dict[str, Any]]]:
    """Rows {source, target} by `test.<language>`: the foreign name and the English one, the same entities in every language."""
    others = [language for language in LANGUAGES if language != "en"]
    candidates = [
        entity
        for kind in KINDS
        for entity in entities(kind, "test")
        if all(names(language)[entity].casefold() != names("en")[entity].casefold() for language in others)
    ]
    sample = shuffled(candidates, "name-pairs")[:PAIRS]
    return {
        f"test.{language}": [
            {"source": names(language)[entity], "target": names("en")[entity]} for entity in sample
        ]
        for language in others
    }
