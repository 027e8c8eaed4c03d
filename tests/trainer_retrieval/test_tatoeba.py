from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts_trainer.data.examples import RetrievalExample
from xstilts_trainer.retrieval.tatoeba import english_order, retrieve

TEXTS = ["Zebra", "apple", "Apple", "élan", "apple ", " bee"]


def rows(texts: Sequence[str]) -> list[RetrievalExample]:
    return [RetrievalExample(source=f"foreign {number}", target=text) for number, text in enumerate(texts)]


def one_hot(number: int) -> list[float]:
    return [float(place == number) for place in range(16)]


def test_the_english_side_is_sorted_by_code_point_and_ties_stand_as_they_were():
    assert english_order(rows(TEXTS)) == [2, 0, 1, 4, 5, 3]


def test_predictions_are_foreign_rows_in_that_order():
    examples = rows(TEXTS)
    numbers = {example.source: number for number, example in enumerate(examples)}
    # every English sentence is nearest to the foreign one a row further on
    numbers |= {example.target: (number + 1) % len(TEXTS) for number, example in enumerate(examples)}

    def embed(sentences: Sequence[str]) -> torch.Tensor:
        return torch.tensor([one_hot(numbers[sentence]) for sentence in sentences])

    assert retrieve(examples, embed) == [(row + 1) % len(TEXTS) for row in english_order(examples)]


def test_of_equal_foreign_sentences_the_first_is_predicted():
    examples = [RetrievalExample(source="same", target=text) for text in ("b", "a", "c")]
    assert retrieve(examples, lambda sentences: torch.ones(len(sentences), 2)) == [0, 0, 0]


@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=12))
def test_a_perfect_model_predicts_the_gold(texts):
    examples = rows(texts)
    numbers = {example.source: number for number, example in enumerate(examples)}
    first = {text.strip(): number for number, text in reversed(list(enumerate(texts)))}
    english = {text: first[text.strip()] for text in texts}

    def embed(sentences: Sequence[str]) -> torch.Tensor:
        return torch.tensor([one_hot(numbers.get(sentence, english.get(sentence))) for sentence in sentences])

    gold = english_order(examples)
    assert sorted(gold) == list(range(len(texts)))
    predicted = retrieve(examples, embed)
    assert [texts[row].strip() for row in predicted] == [texts[row].strip() for row in gold]
