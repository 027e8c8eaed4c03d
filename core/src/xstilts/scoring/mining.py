"""BUCC: F1 of the sentence pairs that were mined from two corpora."""

from __future__ import annotations

from collections.abc import Collection

from xstilts.scoring.fscore import f_scores

Pair = tuple[str, str]


def mining_f1(gold: Collection[Pair], predicted: Collection[Pair]) -> dict[str, float]:
    """F1, precision and recall of extracted pairs of ids, in percent; a pair given twice counts once.

    The measure of BUCC 2018 (Zweigenbaum et al. 2018): `bucc_f1` of google-research/xtreme, evaluate.py.
    """
    wanted, found = set(gold), set(predicted)
    return f_scores(len(wanted & found), len(found), len(wanted))
