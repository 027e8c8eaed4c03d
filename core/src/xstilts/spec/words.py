"""Field paths and values, as errors show them."""

from __future__ import annotations

import json
import re
from typing import Any, Final

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST: Final = 80  # characters of a string that are shown


def spell(path: Path) -> str:
    """The spelling of a field's path: `spec.models[0].name`, `metadata.labels["example.org/team"]`."""
    spelled = ""
    for step in path:
        if isinstance(step, int):
            spelled += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step) and len(step) <= _LONGEST:
            spelled += f".{step}" if spelled else step
        else:
            spelled += f"[{json.dumps(step[:_LONGEST])}]"
    return spelled


def show(value: Any, written: str | None = None) -> str:
    """A value in a sentence. `written` is how the file spells it, where that is known."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}… ({len(value)} characters)"
    if isinstance(value, bool):
        truth = "true" if value else "false"
        return (
            f"the boolean {truth}" if written in {None, truth} else f"the boolean {truth} (written {written})"
        )
    if isinstance(value, int | float):
        spelled = str(value) if written is None else written
        return f"the number {spelled[:_LONGEST]}"
    if isinstance(value, list | tuple):
        return "an empty list" if not value else f"a list of {len(value)}"
    return "a mapping" if value else "an empty mapping"
