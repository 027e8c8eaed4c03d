"""Parts of a training set: the first so many examples of a random order, and selection data held out by group."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal
from heapq import nsmallest
from typing import TypeVar

from xstilts.errors import DataError
from xstilts_trainer.data.examples import Example
from xstilts_trainer.data.order import endless_draws

T = TypeVar("T")
E = TypeVar("E", bound=Example)


def limited(examples: Iterable[T], count: int | None) -> list[T]:
    """So many examples (`maxExamples`), or all: drawn at random, in the file's order. No others are held.

    The draw knows no seed: every seed of an experiment trains on the same examples. A smaller part lies in a larger one.
    """
    if count is None:
        return list(examples)
    drawn = nsmallest(count, zip(endless_draws("maxExamples"), itertools.count(), examples, strict=False))
    return [example for _, _, example in sorted(drawn, key=lambda one: one[1])]


def held_out(examples: Sequence[E], fraction: Decimal, group_by: str) -> tuple[list[E], list[E]]:
    """Split off selection data by whole groups: (train, held out), both in the file's order.

    Groups (equal values of the attribute `group_by`: `context`) go to the held-out part in the order of their text's SHA-256
    until it has the fraction of the examples. So the split depends on the texts alone: neither on a seed nor on the order of rows.

    Raises:
        DataError: there are fewer than two groups.
    """
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(str(getattr(example, group_by)), []).append(index)
    if len(groups) < 2:
        raise DataError(
            f"training data must hold at least two different values of {group_by} to hold some out, has {len(groups)}"
        )
    wanted = fraction * len(examples)
    chosen: set[int] = set()
    for group in sorted(groups, key=lambda text: hashlib.sha256(text.encode()).digest())[:-1]:
        if len(chosen) >= wanted:
            break
        chosen.update(groups[group])
    train = [example for index, example in enumerate(examples) if index not in chosen]
    return train, [example for index, example in enumerate(examples) if index in chosen]
