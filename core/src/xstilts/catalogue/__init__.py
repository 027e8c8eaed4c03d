"""The task catalogue: the nine intermediate tasks and nine targets of Phang et al. (2020), as data.

To add a task, add an entry to the file of its kind; a module of its own is needed only for a new shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xstilts.catalogue import multiple_choice, nli, paraphrase, question_answering, retrieval, tagging
from xstilts.catalogue.entry import ENGLISH, HELD_OUT, Entry

CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for kind in (nli, paraphrase, question_answering, multiple_choice, tagging, retrieval)
        for entry in kind.ENTRIES
    }
)

INTERMEDIATES: tuple[str, ...] = tuple(name for name, entry in CATALOGUE.items() if entry.is_intermediate)
TARGETS: tuple[str, ...] = tuple(name for name, entry in CATALOGUE.items() if entry.is_target)

__all__ = ["CATALOGUE", "ENGLISH", "HELD_OUT", "INTERMEDIATES", "TARGETS", "Entry"]
