"""YAML text -> one mapping of plain values, safely, remembering the line of every field.

Stricter than YAML: one document, mappings with unique string keys, no tags, bounded size, depth and aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml import events

from xstilts.errors import Problem, SpecError
from xstilts.spec.scalars import resolve
from xstilts.spec.words import Path, show, spell

SIZE_LIMIT: Final = 1_000_000  # bytes of a file; the API server's own limit is 1.5 MB
DEPTH_LIMIT: Final = 32  # levels of nesting; the manifest has 8
VALUES_LIMIT: Final = 100_000  # as written; the largest grid that can be planned has some hundred
EXPANDED_LIMIT: Final = (
    2_000_000  # characters and values with every alias expanded; a file without aliases has fewer
)

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is about 20 times as fast, where it is
Event = Any  # PyYAML's events; their types share too little to be of use
_STRING_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_SURROGATE = re.compile("[\ud800-\udfff]")
# JSON's escape of one character beyond U+FFFF, behind an even number of backslashes.
_ESCAPED_PAIR = re.compile(
    r"(?<!\\)(?P<before>(\\\\)*)\\u(?P<high>d[89ab][0-9a-f]{2})\\u(?P<low>d[c-f][0-9a-f]{2})", re.IGNORECASE
)


class Mark(NamedTuple):
    """Where a value stands: its line, from 1, and for a scalar how it is written."""

    line: int
    text: str | None = None


@dataclass(frozen=True)
class Document:
    """A parsed file: plain values, the marks of what stands in it by path, and its keys that stand twice.

    What comes from no file has no source, and its values no place.
    """

    source: str
    value: dict[str, Any]
    marks: Mapping[Path, Mark]
    duplicates: Sequence[Problem]

    def written(self, path: Path) -> str | None:
        """How the scalar at a path is written in the file; None where it is no scalar or came by an alias."""
        mark = self.marks.get(path)
        return mark.text if mark else None

    def place(self, path: Path) -> str:
        """The file and line of a field, or of what it would stand in: ` (experiment.yaml, line 7)`."""
        while path and path not in self.marks:
            path = path[:-1]
        if path:
            return f" ({self.source}, line {self.marks[path].line})"
        return f" ({self.source})" if self.source else ""


def parse_document(text: str, source: str) -> Document:
    """Parse YAML that holds one mapping. `source` is the file's name, for errors.

    Raises:
        SpecError: the text is not YAML, or not the YAML that is read here (see the module).
    """
    if text.lstrip().startswith("{"):  # JSON, as kubectl has it
        text = _ESCAPED_PAIR.sub(_as_yaml_escapes, text)
    reader = _Reader(text, source)
    value = reader.document()
    if not isinstance(value, dict):
        was = "empty" if value is None else show(value)
        raise SpecError(
            Problem(source, f"must be a mapping with apiVersion, kind, metadata and spec, was {was}")
        )
    return Document(source, value, reader.marks, reader.duplicates)


@dataclass(frozen=True)
class _Anchor:
    """A value with a name, and what an alias of it adds: characters and values, and levels of nesting."""

    value: Any
    size: int
    levels: int


@dataclass
class _Reader:
    """Builds values from libyaml's events, whose parser keeps its own stack: depth and size are checked on the way."""

    text: str
    source: str
    marks: dict[Path, Mark] = field(default_factory=dict)
    duplicates: list[Problem] = field(default_factory=list)
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    values: int = 0
    expanded: int = 0
    deepest: int = 0  # the level of nesting reached since the value that is being read began

    def document(self) -> Any:
        stream = self._events()
        value = None
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                value = self._value(next(stream), stream, ())
                break
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                self._refuse(
                    event, "must hold one document, was a second one (`---`); give each experiment its file"
                )
        return value

    def _events(self) -> Iterator[Event]:
        try:
            yield from yaml.parse(self.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            raise SpecError(
                Problem(f"{self.source}{where}", f"must be YAML: {_in_words(error, self.text)}")
            ) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # Characters that YAML forbids (no mark), and escapes beyond Unicode, which PyYAML does not foresee.
            reason = str(error).splitlines()[0]
            raise SpecError(Problem(self.source, f"must be YAML: {reason}")) from None

    def _value(self, event: Event, stream: Iterator[Event], path: Path) -> Any:
        self.marks.setdefault(path, Mark(event.start_mark.line + 1))
        self.values += 1
        if self.values > VALUES_LIMIT:
            self._refuse(event, f"must hold at most {VALUES_LIMIT:,} values, was more")
        if isinstance(event, events.AliasEvent):
            return self._alias(event, len(path))
        before, above = self.expanded, self.deepest
        self.deepest = len(path)
        value = self._node(event, stream, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchor(value, self.expanded - before, self.deepest - len(path))
        self.deepest = max(above, self.deepest)
        return value

    def _node(self, event: Event, stream: Iterator[Event], path: Path) -> Any:
        self._count(event, 1)
        self._refuse_tag(event)
        if isinstance(event, events.ScalarEvent):
            self.marks[path] = Mark(self.marks[path].line, event.value)
            return self._scalar(event)
        self._reach(event, len(path) + 1)
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(stream, path)
        return self._mapping(stream, path)

    def _alias(self, event: Event, level: int) -> Any:
        if event.anchor not in self.anchors:
            self._refuse(event, f"must name an anchor that is complete above it, was *{event.anchor}")
        anchor = self.anchors[event.anchor]
        self._count(event, anchor.size)
        self._reach(event, level + anchor.levels)
        return anchor.value

    def _scalar(self, event: Event) -> Any:
        self._count(event, len(event.value))
        if _SURROGATE.search(event.value):
            self._refuse(event, "must be Unicode text, was half of a surrogate pair")
        return resolve(event.value) if event.implicit[0] else event.value

    def _sequence(self, stream: Iterator[Event], path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(stream), events.SequenceEndEvent):
            items.append(self._value(event, stream, (*path, len(items))))
        return items

    def _mapping(self, stream: Iterator[Event], path: Path) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[dict[str, Any]] = []
        while not isinstance(event := next(stream), events.MappingEndEvent):
            if isinstance(event, events.ScalarEvent) and event.value == "<<" and event.implicit[0]:
                merged += self._merged(event, self._value(next(stream), stream, (*path, "<<")))
                continue
            key = self._key(event)
            line = event.start_mark.line + 1
            below = (*path, key)
            if key in fields:
                sentence = f"must stand once, was set on line {lines[key]} too ({self.source}, line {line})"
                self.duplicates.append(Problem(spell(below), sentence))
            lines.setdefault(key, line)
            self.marks[below] = Mark(line)
            fields[key] = self._value(next(stream), stream, below)
        for more in merged:
            for key, value in more.items():
                fields.setdefault(key, value)
        return fields

    def _key(self, event: Event) -> str:
        if not isinstance(event, events.ScalarEvent):
            self._refuse(event, "must have a string as its key, was a list, a mapping or an alias")
        self._refuse_tag(event)
        key = self._scalar(event)
        if not isinstance(key, str):
            was = show(key, event.value)
            self._refuse(event, f"must have a string as its key, was {was}; put it in quotes")
        return key

    def _merged(self, event: Event, value: Any) -> list[dict[str, Any]]:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(more, dict) for more in values):
            self._refuse(event, "must merge a mapping or a list of mappings (`<<`), was something else")
        return values

    def _count(self, event: Event, size: int) -> None:
        self.expanded += size
        if self.expanded > EXPANDED_LIMIT:
            self._refuse(
                event, f"must stay under {EXPANDED_LIMIT:,} characters with its aliases expanded, was more"
            )

    def _reach(self, event: Event, level: int) -> None:
        self.deepest = max(self.deepest, level)
        if level > DEPTH_LIMIT:
            self._refuse(event, f"must be nested at most {DEPTH_LIMIT} levels deep, was deeper")

    def _refuse_tag(self, event: Event) -> None:
        if event.tag not in _STRING_TAGS:
            self._refuse(event, f"must have no tag, was {show(event.tag)}")

    def _refuse(self, event: Event, sentence: str) -> NoReturn:
        mark = event.start_mark
        raise SpecError(Problem(f"{self.source}: line {mark.line + 1}, column {mark.column + 1}", sentence))


def _as_yaml_escapes(pair: re.Match[str]) -> str:
    r"""`\ud83d\ude00` as `\U0001f600`: YAML has no escapes of half a character."""
    high, low = int(pair["high"], 16), int(pair["low"], 16)
    return f"{pair['before']}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _in_words(error: yaml.MarkedYAMLError, text: str) -> str:
    mark = error.problem_mark
    if mark is not None and text.startswith("\t", mark.index):
        return "indented by spaces, was a tab"
    problem = error.problem or "not understood"
    return f"{problem}, {error.context}" if error.context else problem
