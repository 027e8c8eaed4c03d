"""Classification: what is it that this names: a city, a currency, a language, a territory or a unit?

Trained on English names, tested on the names of other entities in every language. Classes are balanced: chance is 20 %.
"""

from __future__ import annotations

from typing import Any, Final

from names import KINDS, LANGUAGES, Entity, entities, names, shuffled

EACH: Final = {"train": 75, "validation": 10, "test": 30}  # rows a class


def files() -> dict[str, list[dict[str, Any]]]:
    """Rows {text, label} of every file, by `<split>.<language>`; test rows stand for the same entities in every language."""
    english = {f"{split}.en": _rows(_sample(split), "en") for split in ("train", "validation")}
    return english | {f"test.{language}": _rows(_sample("test"), language) for language in LANGUAGES}


def _sample(split: str) -> list[Entity]:
    chosen = [
        entity for kind in KINDS for entity in shuffled(entities(kind, split), "name-kind")[: EACH[split]]
    ]
    return shuffled(chosen, "name-kind rows")


def _rows(sample: list[Entity], language: str) -> list[dict[str, Any]]:
    return [{"text": names(language)[entity], "label": entity[0]} for entity in sample]
