"""SQuAD 1.1's exact match and F1: the measure of SQuAD, XQuAD and TyDiQA-GoldP."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence

from xstilts.scoring.answers import answer_scores

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad(gold: Mapping[str, Sequence[str]], predicted: Mapping[str, str]) -> dict[str, float]:
    """Exact match and F1 of SQuAD 1.1's official script (Rajpurkar et al. 2016), in percent.

    XTREME gives the same measure to XQuAD and TyDiQA in every language: English articles and ASCII punctuation are
    dropped whatever the language (google-research/xtreme, third_party/evaluate_squad.py).

    Raises:
        ValueError: no questions.
    """
    return answer_scores(gold, predicted, normalise)


def normalise(answer: str) -> str:
    """Lower case, without ASCII punctuation, English articles and surplus white space."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())
