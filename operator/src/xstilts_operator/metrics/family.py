"""A metric that is made of resources: its name, what it says, its labels, and a sample a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from xstilts.stage import Kind
from xstilts_operator.actions import Object
from xstilts_operator.names import KIND_LABEL
from xstilts_operator.tolerant import mapping, text

Labels = tuple[str, ...]
Sample = tuple[Labels, float]
Family = tuple[str, str, Sequence[str], Iterable[Sample]]

_KINDS: Final = frozenset(Kind)


def kind_of(stage: Object) -> str:
    """The kind of a stage, or `unknown`: nobody can make a series of a label that they wrote by hand."""
    kind = text(mapping(stage, "metadata", "labels").get(KIND_LABEL))
    return kind if kind in _KINDS else "unknown"
