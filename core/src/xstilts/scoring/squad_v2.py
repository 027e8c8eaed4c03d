"""SQuAD 2.0's best exact match and F1 over the threshold beyond which a question is left unanswered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from xstilts.scoring.answers import token_f1
from xstilts.scoring.squad import normalise


class Guess(NamedTuple):
    """The best span that is not empty, and how much better "no answer" scores than it (any increasing scale)."""

    text: str
    null_score: float


class _Question(NamedTuple):
    null_score: float
    unanswered: float  # its score when left unanswered
    exact: float  # its scores when answered
    f1: float


def squad_v2(gold: Mapping[str, Sequence[str]], predicted: Mapping[str, Guess]) -> dict[str, float]:
    """Best exact match and best F1 (each at its own threshold), in percent.

    The official script (Rajpurkar et al. 2018) answers the questions whose null score is at most the threshold and
    takes the best threshold. Questions of equal null score are answered together here, so that only thresholds that
    exist are tried and the order of questions is nothing. A question without a prediction scores 0.

    Args:
        gold: question id to its answers, none for an unanswerable question.
        predicted: question id to (text, null score).

    Raises:
        ValueError: no questions.
    """
    if not gold:
        raise ValueError("exact match and F1 of no questions are undefined")
    questions = sorted(
        _question(answers, *predicted[identifier])
        for identifier, answers in gold.items()
        if identifier in predicted
    )
    return {
        "exact_match": 100 * _best((q.null_score, q.unanswered, q.exact) for q in questions) / len(gold),
        "f1": 100 * _best((q.null_score, q.unanswered, q.f1) for q in questions) / len(gold),
    }


def _question(answers: Sequence[str], text: str, null_score: float) -> _Question:
    if not answers:
        return _Question(null_score, 1.0, float(not text), float(not text))
    wanted = [normalised for answer in answers if (normalised := normalise(answer))] or [""]
    guess = normalise(text)
    exact = float(guess in wanted)
    return _Question(null_score, 0.0, exact, max(exact, *(token_f1(answer, guess) for answer in wanted)))


def _best(questions: Iterable[tuple[float, float, float]]) -> float:
    """The best sum of scores over thresholds; questions are (null score, unanswered, answered), sorted."""
    by_score = [(score, list(group)) for score, group in groupby(questions, key=itemgetter(0))]
    total = best = sum(unanswered for _, group in by_score for _, unanswered, _ in group)
    for _, group in by_score:
        total += sum(answered - unanswered for _, unanswered, answered in group)
        best = max(best, total)
    return best
