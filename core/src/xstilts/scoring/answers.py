"""What all span-QA measures share: exact match and token F1 of normalised answers, best over the gold answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

Normalise = Callable[[str], str]  # to lower-case tokens with single spaces between


def answer_scores(
    gold: Mapping[str, Sequence[str]], predicted: Mapping[str, str], normalise: Normalise
) -> dict[str, float]:
    """Mean exact match and F1 over questions, in percent; a question without a prediction scores 0.

    Args:
        gold: question id to its answers; a question with none is right when the prediction is empty.
        predicted: question id to the predicted text.
        normalise: the benchmark's own.

    Raises:
        ValueError: no questions.
    """
    if not gold:
        raise ValueError("exact match and F1 of no questions are undefined")
    exact = f1 = 0.0
    for identifier, answers in gold.items():
        if identifier in predicted:
            guess = normalise(predicted[identifier])
            wanted = [normalise(answer) for answer in answers]
            exact += guess in wanted if wanted else not guess
            f1 += max(token_f1(answer, guess) for answer in wanted) if wanted else not guess
    return {"exact_match": 100 * exact / len(gold), "f1": 100 * f1 / len(gold)}


def token_f1(gold: str, predicted: str) -> float:
    """F1 between the tokens, as bags, of two normalised answers; 0 to 1, and 0 when they share none."""
    gold_tokens, predicted_tokens = gold.split(), predicted.split()
    shared = sum((Counter(gold_tokens) & Counter(predicted_tokens)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(predicted_tokens), shared / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)
