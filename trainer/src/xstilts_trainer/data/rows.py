"""A row of a data file: typed access to its columns, with errors that name the column and say what it must be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LISTED_LABELS = 20
SHOWN_CHARACTERS = 60


class ColumnError(Exception):
    """A column of one row is wrong. The loader adds file and row."""

    def __init__(self, column: str, message: str) -> None:
        self.column = column
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The class or tag names of a task, in the order of their numbers, and the spellings a file may use for them.

    A label is spelled by its name, or by its number as an integer or a string of digits (`2`, `"2"`). If a name is
    itself a string of digits (a task whose labels are "1" to "5"), names alone count, so that no spelling has two
    readings; an integer is then the name that it spells.
    """

    names: tuple[str, ...]
    _numbers: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {name: number for number, name in enumerate(self.names)}
        if not self._named_by_digits():
            numbers |= {str(number): number for number in range(len(self.names))}
        object.__setattr__(self, "_numbers", numbers)

    def number(self, spelling: object) -> int | None:
        """The number of the label that is spelled so, or None if there is none."""
        if isinstance(spelling, bool) or not isinstance(spelling, int | str):
            return None
        return self._numbers.get(str(spelling))

    def __str__(self) -> str:
        if len(self.names) > LISTED_LABELS:
            return f"one of the {len(self.names):,} labels"
        named = f"one of {', '.join(self.names)}"
        if self._named_by_digits():
            return named
        return f"{named}, or a number from 0 to {len(self.names) - 1}"

    def _named_by_digits(self) -> bool:
        return any(name.isdecimal() for name in self.names)


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one row, by column.

    Attributes:
        values: column -> value. In CSV and TSV every value is a string.
        labels: the labels of the row's task.
        text_cells: the row comes from CSV or TSV, where lists and mappings are written as JSON inside a cell.
        may_be_unanswerable: a question without answers is one that the context does not answer (SQuAD 2).
    """

    values: Mapping[str, Any]
    labels: LabelSet = LabelSet(())
    text_cells: bool = False
    may_be_unanswerable: bool = False

    def value(self, column: str) -> Any:
        """The value as it was read.

        Raises:
            ColumnError: the row has no such column, or null in it.
        """
        if column not in self.values:
            raise ColumnError(
                column, f"must be there, the row has only {', '.join(self.values) or 'no columns'}"
            )
        value = self.values[column]
        if value is None:
            raise ColumnError(column, "must have a value, was null")
        return value

    def text(self, column: str, *, may_be_empty: bool = False) -> str:
        """A text, as it stands in the file.

        Raises:
            ColumnError: not a string, or nothing but white space where that has no meaning.
        """
        value = self.value(column)
        if not isinstance(value, str):
            raise ColumnError(column, f"must be a text, was {shown(value)}")
        if not may_be_empty and not value.strip():
            raise ColumnError(column, f"must not be empty, was {shown(value)}")
        return _unicode(column, value)

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of texts; single ones may be empty, the list may be too.

        Raises:
            ColumnError: not a list of strings.
        """
        return self._strings(column, self._structure(column, "a list of texts"))

    def mapping(self, column: str) -> Row:
        """A nested mapping (`answers`, `choices`) as a row of its own; its columns are named `column.key`.

        Raises:
            ColumnError: not a mapping.
        """
        value = self._structure(column, "a mapping")
        if not isinstance(value, Mapping):
            raise ColumnError(column, f"must be a mapping, was {shown(value)}")
        return Row({f"{column}.{key}": item for key, item in value.items()})

    def integers(self, column: str) -> tuple[int, ...]:
        """A list of integers.

        Raises:
            ColumnError: not a list of integers.
        """
        value = self._structure(column, "a list of integers")
        if not isinstance(value, list) or any(isinstance(i, bool) or not isinstance(i, int) for i in value):
            raise ColumnError(column, f"must be a list of integers, was {shown(value)}")
        return tuple(value)

    def label(self, column: str, labels: LabelSet | None = None) -> int:
        """The number of a label; `LabelSet` tells the spellings.

        Raises:
            ColumnError: no label of the task.
        """
        labels = labels or self.labels
        spelling = self.value(column)
        number = labels.number(spelling)
        if number is None:
            raise ColumnError(column, f"must be {labels}, was {shown(spelling)}")
        return number

    def tags(self, column: str, tokens: int) -> tuple[int, ...]:
        """The numbers of the tags of so many tokens.

        Raises:
            ColumnError: not a list, another length, or a tag that the task does not have.
        """
        value = self._structure(column, "a list of tags")
        if not isinstance(value, list):
            raise ColumnError(column, f"must be a list of tags, was {shown(value)}")
        return self.tag_numbers(column, value, tokens)

    def tag_numbers(self, column: str, spellings: list[Any], tokens: int) -> tuple[int, ...]:
        """The numbers of the tags that are spelled so.

        Raises:
            ColumnError: not as many as there are tokens, or a tag that the task does not have.
        """
        if len(spellings) != tokens:
            raise ColumnError(column, f"must hold one tag a token, has {len(spellings)} for {tokens} tokens")
        numbers = [self.labels.number(spelling) for spelling in spellings]
        for place, number in enumerate(numbers):
            if number is None:
                raise ColumnError(
                    column, f"tag {place + 1} must be {self.labels}, was {shown(spellings[place])}"
                )
        return tuple(number for number in numbers if number is not None)

    def _structure(self, column: str, what: str) -> Any:
        value = self.value(column)
        if not self.text_cells:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ColumnError(column, f"must be {what} in JSON, was {shown(value)}") from None

    @staticmethod
    def _strings(column: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
            raise ColumnError(column, f"must be a list of texts, was {shown(value)}")
        return tuple(_unicode(column, item) for item in value)


def shown(value: object) -> str:
    """A value as an error shows it: JSON's spelling, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=repr).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _unicode(column: str, text: str) -> str:
    """The text itself. JSON can spell half a character, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        message = (
            f"must be Unicode text, has {half}, half of a surrogate pair, at character {error.start + 1}"
        )
        raise ColumnError(column, message) from None
    return text
