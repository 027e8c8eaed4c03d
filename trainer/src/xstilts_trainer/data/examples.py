"""What one row of a data file means, a shape a task type. Everything behind the loader knows only these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

UNLABELLED = -100
"""The label of a place that has none: what torch's cross entropy leaves out of the loss."""


@dataclass(frozen=True, slots=True)
class PairExample:
    """Classification: one text or two, and the number of the class."""

    text: str
    text_pair: str | None
    label: int


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    """Multiple choice: a pair of texts (context, candidate) a choice, and the number of the right one."""

    pairs: tuple[tuple[str, str], ...]
    label: int


@dataclass(frozen=True, slots=True)
class TagExample:
    """Tagging: a tokenised sentence and the number of each token's tag."""

    tokens: tuple[str, ...]
    tags: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpanExample:
    """Span QA: `starts` are the answers' places in the context, in code points. No answers: not answerable."""

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RetrievalExample:
    """Two sentences that translate each other: the foreign one is the source, the English one the target."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a corpus that is mined."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Corpora:
    """Two corpora to mine for parallel pairs; `gold` holds the (source id, target id) of the true ones."""

    sources: tuple[Sentence, ...]
    targets: tuple[Sentence, ...]
    gold: frozenset[tuple[str, str]]


Example: TypeAlias = PairExample | ChoiceExample | TagExample | SpanExample | RetrievalExample
