"""The kinds of value that the manifest is made of. Each carries its bounds, and in words what it must be.

The words stand in the JSON schema under `x-must`; `xstilts.spec.sentences` makes errors from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from xstilts.decimals import canonical_decimal
from xstilts.spec.words import Path, show

MUST = "x-must"
FAULT = "fault"  # the type of the errors that bring their own sentence
BASELINE = "none"  # the name of the intermediate that trains nothing

T = TypeVar("T")


def must(words: str) -> Any:
    """What a value must be, in words, for its errors."""
    return Field(json_schema_extra={MUST: words})


def _text(words: str, pattern: str, longest: int) -> Any:
    return Field(pattern=pattern, min_length=1, max_length=longest, json_schema_extra={MUST: words})


def refuse(*faults: tuple[Path, str, Any]) -> None:
    """End a validator with one error for each fault: where it is (below the validated value), a sentence, the value.

    Raises:
        ValidationError: there is a fault.
    """
    if faults:
        raise ValidationError.from_exception_data(
            "manifest",
            [
                InitErrorDetails(
                    type=PydanticCustomError(FAULT, "{sentence}", {"sentence": sentence}),
                    loc=where,
                    input=value,
                )
                for where, sentence, value in faults
            ],
        )


def unique(items: tuple[T, ...]) -> tuple[T, ...]:
    """Refuse a list that holds a value twice."""
    return _unique(items, lambda item: item, ())


def unique_by(field: str) -> AfterValidator:
    """Refuse a list in which two entries have the same value of a field."""

    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return _unique(items, lambda item: getattr(item, field), (field,))

    return AfterValidator(check)


def _unique(items: tuple[T, ...], key: Callable[[T], Any], field: tuple[str, ...]) -> tuple[T, ...]:
    first: dict[Any, int] = {}
    faults: list[tuple[Path, str, Any]] = [
        ((index, *field), f"must be unique, was {show(value)} as in entry [{first[value]}]", value)
        for index, value in enumerate(map(key, items))
        if first.setdefault(value, index) != index
    ]
    refuse(*faults)
    return items


_NAME_WORDS = "1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"

Name = Annotated[str, _text(_NAME_WORDS, r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", 63)]
DottedName = Annotated[
    str,
    _text(
        "a Kubernetes name: at most 253 lower-case letters, digits, '-' or '.', with a letter or digit at both ends",
        r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        253,
    ),
]
# Catalogue ids have underscores; a task's name is part of file names, and no resource is called so.
TaskName = Annotated[
    str,
    _text(
        "a task's name: 1 to 63 lower-case letters, digits, '_' or '-', with a letter or digit at both ends",
        r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$",
        63,
    ),
]
Revision = Annotated[
    str, _text("a full commit: 40 hexadecimal digits (0-9, a-f), in quotes", r"^[0-9a-f]{40}$", 40)
]
Language = Annotated[
    str,
    _text("a language code such as 'en', 'sw' or 'zh-Hant'", r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", 35),
]
SplitName = Annotated[
    str, _text("1 to 63 letters, digits, '_' or '-'", r"^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$", 63)
]
ModuleName = Annotated[
    str,
    _text(
        "the end of a layer's name in transformers, such as 'query' or 'attention.self.query'",
        r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$",
        128,
    ),
]
Label = Annotated[
    str, _text("1 to 128 characters, none of them a control character", r"^[^\x00-\x1f\x7f]+$", 128)
]
Quantity = Annotated[
    str,
    _text(
        "a Kubernetes quantity of bytes such as '32Gi' or '500M'",
        r"^[1-9][0-9]{0,11}(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        16,
    ),
]
LabelKey = Annotated[
    str,
    _text(
        "a Kubernetes label key: [prefix/]name",
        rf"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_LABEL}$",
        317,
    ),
]
LabelValue = Annotated[
    str,
    Field(
        pattern=rf"^({_LABEL})?$",
        max_length=63,
        json_schema_extra={
            MUST: "a Kubernetes label value: at most 63 letters, digits, '-', '_' or '.', "
            "with a letter or digit at both ends"
        },
    ),
]


def _where(holds: Callable[[float], bool]) -> AfterValidator:
    """Judge a decimal as the trainer and the API server read it: as the nearest double."""

    def check(text: str) -> str:
        if not holds(float(text)):
            raise ValueError(text)
        return text

    return AfterValidator(check)


DecimalString = Annotated[
    str,
    Field(
        pattern=r"^([0-9]{1,10}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?$",
        max_length=24,
        json_schema_extra={MUST: "a decimal of at least 0, in quotes"},
    ),
    AfterValidator(canonical_decimal),
]
LearningRate = Annotated[
    DecimalString,
    _where(lambda value: 0 < value <= 1),
    must("a decimal above 0 and at most 1, in quotes"),
]
Ratio = Annotated[
    DecimalString,
    _where(lambda value: 0 < value < 1),
    must("a decimal above 0 and below 1, in quotes"),
]
RatioOrZero = Annotated[
    DecimalString,
    _where(lambda value: value < 1),
    must("a decimal of at least 0 and below 1, in quotes"),
]
Temperature = Annotated[
    DecimalString,
    _where(lambda value: 0 < value <= 100),
    must("a decimal above 0 and at most 100, in quotes"),
]

# This millennium: no offset leads out of what a clock can tell.
_RFC3339 = r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"


def _rfc3339(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or re.fullmatch(_RFC3339, value) is None:
        raise ValueError(value)
    return datetime.fromisoformat(value.upper())


Time = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc3339),
    Field(
        json_schema_extra={
            "pattern": _RFC3339,
            "maxLength": 35,
            MUST: "a time as RFC 3339 writes it, such as '2026-01-31T08:00:00Z'",
        }
    ),
]

Seconds = Annotated[int, Field(ge=0, le=10 * 365 * 86_400)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # NumPy's generators take no larger one
