"""F1, precision and recall from counts."""

from __future__ import annotations


def f_scores(correct: int, predicted: int, gold: int) -> dict[str, float]:
    """Precision, recall and their harmonic mean, in percent; what has no denominator is 0.

    Args:
        correct: how many of the predicted things are gold things.
        predicted: how many things were predicted.
        gold: how many there are to find.
    """
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}
