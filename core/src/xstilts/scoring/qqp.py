"""Quora question pairs: accuracy, and F1 of the duplicates."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.scoring.accuracy import accuracy
from xstilts.scoring.fscore import f_scores

DUPLICATE = "1"


def accuracy_and_f1(
    gold: Sequence[str] | Sequence[int], predicted: Sequence[str] | Sequence[int]
) -> dict[str, float]:
    """Accuracy and F1 of label 1, in percent: GLUE's two measures of QQP (Wang et al. 2019, table 1).

    Raises:
        ValueError: no items, or as many predictions as labels are not there.
    """
    duplicates = {index for index, label in enumerate(gold) if str(label) == DUPLICATE}
    guessed = {index for index, label in enumerate(predicted) if str(label) == DUPLICATE}
    f1 = f_scores(len(duplicates & guessed), len(guessed), len(duplicates))["f1"]
    return accuracy(gold, predicted) | {"f1": f1}
