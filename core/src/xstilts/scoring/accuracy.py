"""Accuracy over items and over tokens."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(
    gold: Sequence[str] | Sequence[int], predicted: Sequence[str] | Sequence[int]
) -> dict[str, float]:
    """Percent of items whose prediction equals the gold label.

    Serves classification, multiple choice and Tatoeba, where the label is the index of the partner sentence:
    `accuracy` of google-research/xtreme, evaluate.py.

    Raises:
        ValueError: no items, or as many predictions as labels are not there.
    """
    right = sum(label == guess for label, guess in zip(gold, predicted, strict=True))
    if not gold:
        raise ValueError("accuracy of no items is undefined")
    return {"accuracy": 100 * right / len(gold)}


def token_accuracy(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Percent of tokens whose tag is right, over all sentences together (CCG supertagging's measure).

    Raises:
        ValueError: no tokens, or sentences of unequal numbers or lengths.
    """
    pairs = [
        (label, guess)
        for labels, guesses in zip(gold, predicted, strict=True)
        for label, guess in zip(labels, guesses, strict=True)
    ]
    return accuracy([label for label, _ in pairs], [guess for _, guess in pairs])
