"""Validation errors -> problems that a person can mend: what the field must be, and what it was.

What it must be is read from the models' own JSON schema, so that it cannot differ from what is checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from pydantic import ValidationError

from xstilts.errors import Problem
from xstilts.spec.document import Document
from xstilts.spec.fields import FAULT
from xstilts.spec.words import Path, show, spell

PROBLEM_LIMIT: Final = 50
_KEY = "[key]"  # the last step of the path of an error in a mapping's key

Schema = dict[str, Any]


def to_problems(error: ValidationError, schema: Schema, document: Document) -> list[Problem]:
    """The problems of a failed validation, in the order of the file's fields; at most 50, and how many more."""
    items = [item for item in error.errors(include_url=False) if not _is_echo(item)]
    problems = [_problem(item, schema, document) for item in items[:PROBLEM_LIMIT]]
    return problems + _how_many_more(len(items))


def bounded(problems: Sequence[Problem]) -> list[Problem]:
    """The first 50 problems, and how many more."""
    return [*problems[:PROBLEM_LIMIT], *_how_many_more(len(problems))]


def first(problems: Iterable[Problem]) -> list[Problem]:
    """The first 50 problems, and whether there are more: those are not looked for, which could be long work."""
    found = list(islice(problems, PROBLEM_LIMIT + 1))
    return (
        found if len(found) <= PROBLEM_LIMIT else [*found[:PROBLEM_LIMIT], Problem("", "and more problems")]
    )


def _how_many_more(size: int) -> list[Problem]:
    return [Problem("", f"and {size - PROBLEM_LIMIT} more problems")] if size > PROBLEM_LIMIT else []


def _is_echo(item: Any) -> bool:
    """Whether a list is called too short only because entries of it, which have their own errors, do not count."""
    return bool(item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"])


def _problem(item: Any, schema: Schema, document: Document) -> Problem:
    path: Path = item["loc"]
    value = item["input"]
    if item["type"] == FAULT:
        sentence = item["msg"]
    elif item["type"] == "extra_forbidden":
        sentence = _unknown_field(str(path[-1]), list(_node(schema, path[:-1]).get("properties", {})))
    elif item["type"] == "missing":
        sentence = f"must be set to {describe(_node(schema, path))}, was absent"
    elif path and path[-1] == _KEY:
        path = path[:-1]
        sentence = (
            f"must have as its key {describe(_node(schema, path[:-1])['propertyNames'])}, was {show(value)}"
        )
    else:
        node = _node(schema, path)
        written = document.written(path)
        sentence = f"must be {describe(node)}, was {show(value, written)}{_hint(node, value, written)}"
    return Problem(spell(path), sentence + document.place(path))


def describe(node: Schema) -> str:
    """What a value must be by its JSON schema, in words."""
    match node:
        case {"x-must": str(words)}:
            pass
        case {"const": constant}:
            words = repr(constant)
        case {"enum": [*choices]}:
            words = f"one of {', '.join(choices)}"
        case {"type": "integer", "minimum": least, "maximum": most}:
            words = f"a whole number from {least:,} to {most:,}"
        case {"type": "boolean"}:
            words = "true or false"
        case {"type": "array", "maxItems": most}:
            words = f"a list of {node.get('minItems', 0)} to {most:,} entries"
        case {"type": "string", "maxLength": most}:
            words = f"a string of at most {most:,} characters"
        case {"type": "object", "maxProperties": most}:
            words = f"a mapping of at most {most:,} entries"
        case {"required": [*fields]}:
            words = f"a mapping with {', '.join(fields)}"
        case _:
            words = "a mapping"
    return words


def _unknown_field(name: str, known: list[str]) -> str:
    lower = {field.lower(): field for field in known}
    near = get_close_matches(name.lower(), lower, n=1)
    if near:
        return f"must not be set: there is no such field; did you mean {lower[near[0]]!r}?"
    return f"must not be set: there is no such field; the fields here are {', '.join(known)}"


def _hint(node: Schema, value: Any, written: str | None) -> str:
    """What to do where only the quotes are wrong."""
    wants_text = node.get("type") == "string"
    if wants_text and isinstance(value, bool | int | float) and written is not None:
        sensible = isinstance(value, bool) or (math.isfinite(value) and value >= 0)
        return f'; put it in quotes: "{written}"' if sensible else ""
    if node.get("type") == "integer" and isinstance(value, str) and value.isdecimal():
        return "; leave out the quotes"
    return ""


def _node(schema: Schema, path: Path) -> Schema:
    """The schema of the value at a path; of the nearest value above that has one, where a step is not known."""
    node = _resolved(schema, schema)
    for step in path:
        if isinstance(step, int):
            below = node.get("items")
        else:
            below = node.get("properties", {}).get(step) or _values(node)
        if below is None:
            break
        node = _resolved(below, schema)
    return node


def _values(node: Schema) -> Schema | None:
    """The schema of a map's values."""
    patterns = node.get("patternProperties")
    return next(iter(patterns.values())) if patterns else None


def _resolved(node: Schema, schema: Schema) -> Schema:
    """The schema itself, without `null` beside it, and what a reference names."""
    if "anyOf" in node:
        node = next(option for option in node["anyOf"] if option.get("type") != "null")
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        return dict(schema["$defs"][name])
    return node
