"""Retrieval: find the name of an English name's entity among the names in another language. Nothing is trained for it.

Names that some language spells as English does are left out: they would be found without knowing anything. Chance is
one in the number of names.
"""

from __future__ import annotations

from typing import Any, Final

from names import LANGUAGES, entities, names, shuffled

KINDS: Final = ("currency", "language", "territory", "unit")


def files() -> dict[str, list[dict[str, Any]]]:
    """Rows {source, target} by `test.<language>`: the foreign name and the English one, the same entities in every language."""
    others = [language for language in LANGUAGES if language != "en"]
    sample = [
        entity
        for entity in shuffled((e for kind in KINDS for e in entities(kind, "test")), "name-pairs")
        if all(names(language)[entity].casefold() != names("en")[entity].casefold() for language in others)
    ]
    return {
        f"test.{language}": [
            {"source": names(language)[entity], "target": names("en")[entity]} for entity in sample
        ]
        for language in others
    }
