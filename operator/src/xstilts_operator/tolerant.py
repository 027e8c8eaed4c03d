"""Reading what anybody may have written by hand: a value of another shape counts as absent, and nothing raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LARGEST: Final = 2**53  # of integers: what every reader of JSON can hold
_DECIMAL: Final = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_YEARS: Final = range(1970, 2200)  # what can be meant: sums of such times are times too


def mapping(value: Any, *path: str) -> Mapping[str, Any]:
    """The mapping at a path below a value; empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings in a list."""
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Mapping))


def text(value: Any, longest: int = 4096) -> str:
    """A string that is not longer; else empty."""
    return value if isinstance(value, str) and len(value) <= longest else ""


def texts(value: Any) -> tuple[str, ...]:
    """The strings of a list."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def integer(value: Any) -> int | None:
    """An integer from 0 on."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _LARGEST else None


def count(value: Any) -> int:
    """An integer from 0 on, 0 where there is none."""
    return integer(value) or 0


def moment(value: Any) -> datetime | None:
    """A time as RFC 3339 writes it."""
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        return None
    try:
        time = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None


def decimal(value: Any) -> str | None:
    """A decimal as a string."""
    return value if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def token(value: Any) -> str:
    """A reason as conditions have it: letters and digits, a letter first; what else stands there is left out."""
    return re.sub(r"[^A-Za-z0-9]", "", text(value, 1024)).lstrip("0123456789")


def stamp(time: datetime) -> str:
    """A time as objects have it: RFC 3339 in UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rounded(time: datetime) -> datetime:
    """The time that `moment` reads from what `stamp` writes."""
    return time.astimezone(UTC).replace(microsecond=0)


def seconds_until(time: datetime, now: datetime) -> float:
    """Seconds from now to a time; 0 where it has passed."""
    return max(0.0, (time - now) / timedelta(seconds=1))
