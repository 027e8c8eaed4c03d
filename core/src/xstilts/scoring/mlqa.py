"""MLQA's exact match and F1, whose normalisation differs by the language of the answer."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache, partial

from xstilts.scoring.answers import answer_scores

_ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": "ال",  # the article is written together with its noun: dropped wherever it stands, as the official script does
    "hi": None,  # these two have no articles
    "zh": None,
}
LANGUAGES = tuple(sorted(_ARTICLES))
_IDEOGRAPH = re.compile("([\u4e00-\u9fa5])")  # the range of the official script


def mlqa(gold: Mapping[str, Sequence[str]], predicted: Mapping[str, str], language: str) -> dict[str, float]:
    """Exact match and F1 of MLQA's official script (Lewis et al. 2020, mlqa_evaluation_v1.py), in percent.

    Raises:
        ValueError: no questions, or a language that MLQA does not have.
    """
    return answer_scores(gold, predicted, partial(normalise, language=language))


def normalise(answer: str, language: str) -> str:
    """Lower case, without Unicode punctuation and the language's articles; each Chinese character is a token.

    Raises:
        ValueError: a language that MLQA does not have.
    """
    if language not in _ARTICLES:
        raise ValueError(f"MLQA's normalisation knows {', '.join(LANGUAGES)}, not {language!r}")
    text = answer.lower().translate(_punctuation())
    articles = _ARTICLES[language]
    if articles is not None:
        text = re.sub(articles, " ", text)
    if language == "zh":
        text = _IDEOGRAPH.sub(r" \1 ", text)
    return " ".join(text.split())


@cache
def _punctuation() -> dict[int, None]:
    """Every punctuation character of Unicode, and ASCII's symbols, as a table that deletes them."""
    unicode = (code for code in range(sys.maxunicode) if unicodedata.category(chr(code)).startswith("P"))
    return dict.fromkeys([*unicode, *map(ord, string.punctuation)])
