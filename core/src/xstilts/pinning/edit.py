"""Setting values in a YAML text and leaving all else as it stands: comments, order, quotes, indentation.

Only the spans of scalars are replaced, and keys are inserted beside their neighbours. The result is read again: where it
does not say what it should (merged keys, aliases of something else), nothing is changed and the error says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

import yaml

from xstilts.errors import Problem, SpecError
from xstilts.spec.document import parse_document
from xstilts.spec.words import Path, spell

Value = str | Mapping[str, str]
Node = Any  # PyYAML's nodes; their types share too little to be of use

_NEIGHBOURS: Final = {"revision": "pretrained"}  # a new key stands behind its neighbour, else at the end
_ANCHOR = re.compile(r"&\S+\s+")


@dataclass(frozen=True, order=True)
class _Edit:
    start: int
    end: int
    text: str


def set_values(text: str, values: Mapping[Path, Value], source: str) -> str:
    """The text with values set at paths, each a string or a flat mapping, whose entries are added to those there.

    Raises:
        SpecError: the text is no YAML that is read here, or a path cannot be set in it.
    """
    expected = deepcopy(parse_document(text, source).value)
    for path, value in values.items():
        _set(expected, path, value)
    root: Node = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = {edit for path, value in values.items() for edit in _edits(text, root, path, value)}
    edited = _apply(text, sorted(edits))
    if not _reads_as(edited, source, expected):
        raise SpecError(
            *(
                Problem(spell(path), f"must be set by hand, aliases or merged keys are in the way: {value}")
                for path, value in values.items()
            )
        )
    return edited


def _set(document: dict[str, Any], path: Path, value: Value) -> None:
    holder: Any = document
    for part in path[:-1]:
        holder = holder[part]
    if isinstance(value, str):
        holder[path[-1]] = value
    else:
        holder[path[-1]] = {**(holder.get(path[-1]) or {}), **value}


def _reads_as(text: str, source: str, expected: Any) -> bool:
    try:
        return bool(parse_document(text, source).value == expected)
    except SpecError:
        return False


def _apply(text: str, edits: list[_Edit]) -> str:
    pieces: list[str] = []
    done = 0
    for edit in edits:
        pieces += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*pieces, text[done:]])


def _edits(text: str, root: Node, path: Path, value: Value) -> list[_Edit]:
    holder = root
    for part in path[:-1]:
        holder = _child(holder, part)
    if not isinstance(holder, yaml.MappingNode):
        return []  # it comes by a merged key
    node = _child(holder, path[-1])
    if node is None:
        return [_insert(text, holder, {str(path[-1]): value})]
    if isinstance(value, str):
        return [_replace(text, node, value)]
    return [_insert(text, node, value)] if isinstance(node, yaml.MappingNode) else []


def _child(node: Node, part: str | int) -> Node:
    """What stands at a list's index or a mapping's key; None where nothing does."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None


def _replace(text: str, node: Node, value: str) -> _Edit:
    start, end = node.start_mark.index, _end(text, node)
    anchor = _ANCHOR.match(text, start, end)
    start = anchor.end() if anchor else start
    if start == end:  # `revision:` and nothing
        return _Edit(start, end, f" {_quoted(value)}")
    return _Edit(start, end, f"'{value}'" if text[start] == "'" else _quoted(value))


def _insert(text: str, holder: Node, values: Mapping[str, Value]) -> _Edit:
    """New keys in a mapping, behind their neighbour."""
    neighbour = next((_child(holder, _NEIGHBOURS[key]) for key in values if key in _NEIGHBOURS), None)
    if holder.flow_style:
        inside = ", ".join(f"{key}: {_inline(value)}" for key, value in values.items())
        if not holder.value:  # {}
            place = holder.start_mark.index + 1
            return _Edit(place, place, inside)
        place = _end(text, neighbour or holder.value[-1][1])
        return _Edit(place, place, f", {inside}")
    place = _line_end(text, _end(text, neighbour or holder.value[-1][1]))
    newline = "\r\n" if "\r\n" in text else "\n"
    margin = " " * holder.value[0][0].start_mark.column
    return _Edit(place, place, "".join(f"{newline}{margin}{line}" for line in _lines(values)))


def _line_end(text: str, place: int) -> int:
    while place < len(text) and text[place] not in "\r\n":
        place += 1
    return place


def _end(text: str, node: Node) -> int:
    """Where a node's last character stands, comments and blank lines behind it left out."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return int(start + len(text[start:end].rstrip()))


def _quoted(value: str) -> str:
    return f'"{value}"'  # commits and `store://` names hold neither quotes nor backslashes


def _inline(value: Value) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return "{" + ", ".join(f"{key}: {_quoted(one)}" for key, one in value.items()) + "}"


def _lines(values: Mapping[str, Value]) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, str):
            lines.append(f"{key}: {_quoted(value)}")
        else:
            lines += [f"{key}:", *(f"  {line}" for line in _lines(value))]
    return lines
