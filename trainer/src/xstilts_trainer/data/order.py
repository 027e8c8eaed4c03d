"""Randomness as a pure function of a key: the same key gives the same draws in any process, release and order of calls.

numpy guarantees the raw stream of a bit generator over its releases (NEP 19), and of nothing that is built on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
_BLOCK = 1024


def draws(count: int, *key: int | str) -> npt.NDArray[np.uint64]:
    """So many 64-bit integers, uniform and independent; a longer draw of the same key begins with a shorter one."""
    return _bits(*key).random_raw(count)


def endless_draws(*key: int | str) -> Iterator[int]:
    """The same integers one after the other, for who does not know yet how many there will be."""
    bits = _bits(*key)
    while True:
        yield from bits.random_raw(_BLOCK).tolist()


def permutation(count: int, *key: int | str) -> IntArray:
    """The numbers 0 … count - 1 in a random order."""
    return np.argsort(draws(count, *key), kind="stable")


def _bits(*key: int | str) -> np.random.PCG64:
    words = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.PCG64(np.random.SeedSequence(int.from_bytes(words, "little")))
