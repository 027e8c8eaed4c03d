"""What is remembered of many things: the newest of it, so that it stays within bounds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, Generic, TypeVar

_REMEMBERED: Final = 50_000  # of each kind of thing; about 10,000 of each are alive in a large cluster

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """A bounded mapping that forgets what was used longest ago."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._values: OrderedDict[Any, Value] = OrderedDict()

    def get(self, key: Any) -> Value | None:
        """The value of a key, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Any, value: Value) -> Value:
        """Keep a value; returns it."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
        return value
