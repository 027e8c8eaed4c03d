"""Randomness as a pure function of a key: the same key gives the same draws in any process, release and order of calls.

numpy guarantees the raw stream of a bit generator over its releases (NEP 19), and of nothing that is built on it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def draws(count: int, *key: int | str) -> npt.NDArray[np.uint64]:
    """So many 64-bit integers, uniform and independent; a longer draw of the same key begins with a shorter one."""
    words = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.PCG64(np.random.SeedSequence(int.from_bytes(words, "little"))).random_raw(count)


def permutation(count: int, *key: int | str) -> IntArray:
    """The numbers 0 … count - 1 in a random order."""
    return np.argsort(draws(count, *key), kind="stable")
