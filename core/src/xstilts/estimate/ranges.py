"""A number that is not known exactly: as low as it may well be, what is likely, and as high as it may well be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Range:
    """Low, likely and high. They are judgements, not a confidence interval."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def map(self, change: Callable[[float], float]) -> Range:
        """Each of the three, changed by something that keeps their order."""
        return Range(change(self.low), change(self.likely), change(self.high))

    def to_json(self, digits: int = 3) -> dict[str, float]:
        """The three by name, rounded."""
        return {name: round(getattr(self, name), digits) for name in ("low", "likely", "high")}

    @classmethod
    def exactly(cls, value: float) -> Self:
        """A number that is known."""
        return cls(value, value, value)


NOTHING = Range.exactly(0)


def total(ranges: Iterable[Range]) -> Range:
    """The sum. That every part is low, or high, at once is unlikely: a sum's range is wide rather than narrow."""
    return sum(ranges, NOTHING)
