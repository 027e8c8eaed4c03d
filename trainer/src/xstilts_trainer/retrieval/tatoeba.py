"""Tatoeba: for each English sentence the nearest foreign one, in the order that XTREME's submissions have."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts_trainer.data.examples import RetrievalExample
from xstilts_trainer.retrieval.embeddings import Embed
from xstilts_trainer.retrieval.neighbours import nearest


def english_order(examples: Sequence[RetrievalExample]) -> list[int]:
    """The rows in the order of a submission, which is also the gold: English side by code point, ties as they stand.

    So utils_preprocess.py of google-research/xtreme writes the English file, the foreign one staying as it is: no
    sentence stands beside its own translation, and line n of a submission is the row of the foreign sentence.
    """
    return sorted(range(len(examples)), key=lambda row: examples[row].target.strip())


def retrieve(examples: Sequence[RetrievalExample], embed: Embed) -> list[int]:
    """The row of the nearest foreign sentence for each English one, in `english_order`; of equals the first."""
    order = english_order(examples)
    foreign = embed([example.source for example in examples])
    english = embed([examples[row].target for row in order])
    rows: list[int] = nearest(english, foreign, 1).indices[:, 0].tolist()
    return rows
