"""How an intermediate's training data relates to a target in one language.

A gain on a target whose own training rows the intermediate has already seen, or in a language that it was
trained in, is not zero-shot transfer of another skill: such cells are flagged, and answers are given with and
without them. Relations are computed from the entries' `sources`; nothing is listed by hand.

Continued MLM does not count as having seen a language: it uses unlabelled text, as pretraining did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from xstilts.catalogue import CATALOGUE


class TrainingOverlap(IntEnum):
    """How much of a target's English train set an intermediate has been trained on, weakest first."""

    NONE = 0
    PARTIAL = 1  # it shares rows: a superset (ANLI+ for XNLI, SQuAD 2 for XQuAD) or a part
    SAME = 2  # it is the same train set: MNLI for XNLI, SQuAD for XQuAD and MLQA


@dataclass(frozen=True)
class Relation:
    """The relation of an intermediate to a target in one language."""

    overlap: TrainingOverlap
    language_seen: bool  # the intermediate was trained on labelled rows in this language, other than English

    @property
    def flagged(self) -> bool:
        """Whether the cell is left out of the answer without in-task cells."""
        return self.overlap is not TrainingOverlap.NONE or self.language_seen


def relation(
    tasks: Iterable[str], target: str, language: str, *, translated_to: Iterable[str] = ()
) -> Relation:
    """The relation of an intermediate, given by its tasks' names, to a target in a language.

    A mix inherits the strongest overlap among its tasks; `none` has no tasks and no relation. A task that the
    catalogue does not know is its own source.
    """
    wanted = _training_sources(target)
    overlap = max((_overlap(_training_sources(task), wanted) for task in tasks), default=TrainingOverlap.NONE)
    return Relation(overlap=overlap, language_seen=language in set(translated_to) - {"en"})


def _training_sources(task: str) -> frozenset[str]:
    entry = CATALOGUE.get(task)
    if entry is None:
        return frozenset({task})
    if entry.trains_on is None:
        return frozenset()
    return CATALOGUE[entry.trains_on].sources


def _overlap(seen: frozenset[str], wanted: frozenset[str]) -> TrainingOverlap:
    if not seen & wanted:
        return TrainingOverlap.NONE
    return TrainingOverlap.SAME if seen == wanted else TrainingOverlap.PARTIAL
