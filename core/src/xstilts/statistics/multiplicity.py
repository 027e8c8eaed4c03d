"""p-values of several tests, adjusted so that each can be held against the level that is wanted for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the chance of any false rejection (Holm 1979), in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.maximum.accumulate(np.minimum(1, np.asarray(p_values)[order] * factors))
    return _back(adjusted, order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that bound the expected share of false rejections (Benjamini and Hochberg 1995)."""
    order = np.argsort(p_values, kind="stable")[::-1]
    factors = len(p_values) / np.arange(len(p_values), 0, -1)
    adjusted = np.minimum.accumulate(np.minimum(1, np.asarray(p_values)[order] * factors))
    return _back(adjusted, order)


def _back(values: np.ndarray, order: np.ndarray) -> list[float]:
    result = np.empty_like(values)
    result[order] = values
    return [float(value) for value in result]
