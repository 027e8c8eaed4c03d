"""The metrics on cases worked out by hand, and what must hold for any predictions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.scoring import Guess, main_score, score
from xstilts.scoring.mlqa import normalise as mlqa_normalise
from xstilts.scoring.squad import normalise as squad_normalise
from xstilts.scoring.tagging import entities
from xstilts.task import Metric

UPOS = ["ADJ", "CCONJ", "INTJ", "NOUN", "PUNCT", "SCONJ", "SYM", "VERB", "X"]
ENTITY_TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
WORDS = ["the", "la", "der", "của", "ال", "बड़ी", "नदी", "大河", "1861", "Ouse", "«", "。", " "]

labels = st.lists(st.sampled_from(["0", "1", "2"]), min_size=1, max_size=20)
tags = st.lists(st.lists(st.sampled_from(UPOS + ENTITY_TAGS), min_size=1, max_size=6), min_size=1, max_size=5)
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
questions = st.dictionaries(
    st.text("abc", min_size=1), st.tuples(st.lists(texts, min_size=1, max_size=3), texts), min_size=1
)
pairs = st.sets(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")))


def test_accuracy_counts_items():
    assert score(Metric.ACCURACY, [0, 1, 2, 1], [0, 1, 1, 1], "en") == {"accuracy": 75.0}


def test_qqp_gives_f1_of_the_duplicates():
    assert score(Metric.ACCURACY_AND_F1, [1, 0, 1, 1], [1, 1, 0, 1], "en") == {
        "accuracy": 50.0,
        "f1": pytest.approx(200 / 3),
    }
    assert score(Metric.ACCURACY_AND_F1, ["0"], ["0"], "en") == {"accuracy": 100.0, "f1": 0.0}


def test_unequal_numbers_are_an_error():
    with pytest.raises(ValueError):
        score(Metric.ACCURACY, [0, 1], [0], "en")
    with pytest.raises(ValueError):
        score(Metric.TAGGING_F1, [["O", "O"]], [["O"]], "en")


@pytest.mark.parametrize("metric", [m for m in Metric if m != Metric.MINING_F1])
def test_nothing_to_score_is_an_error(metric):
    empty = {} if metric in {Metric.SQUAD, Metric.SQUAD_V2, Metric.MLQA} else []
    with pytest.raises(ValueError):
        score(metric, empty, empty, "en")


@pytest.mark.parametrize(
    ("sentences", "found"),
    [
        ([["B-PER", "I-PER", "O", "B-LOC"]], [("PER", 0, 1), ("LOC", 3, 3)]),
        (
            [["I-PER", "I-PER"], ["I-PER"]],
            [("PER", 0, 1), ("PER", 3, 3)],
        ),  # I- without B-; no reach over sentences
        ([["B-PER", "I-LOC"]], [("PER", 0, 0), ("LOC", 1, 1)]),
        ([["NOUN", "NOUN", "VERB"]], [("NOUN", 0, 1), ("VERB", 2, 2)]),  # neighbours of one tag: one entity
        ([["SCONJ", "SCONJ", "CCONJ"]], [("SCONJ", 0, 0), ("SCONJ", 1, 1), ("CCONJ", 2, 2)]),
        ([["SYM", "SCONJ"]], [("SYM", 0, 0), ("SCONJ", 1, 1)]),
        ([["O"], []], []),
    ],
)
def test_entities_are_those_of_seqeval_0_0_12(sentences, found):
    assert list(entities(sentences)) == found


def test_conjunctions_stay_apart():
    """Seqeval 1.2.2 reads CCONJ and SCONJ as one type, CONJ; 0.0.12 does not."""
    numbers = score(Metric.TAGGING_F1, [["CCONJ", "VERB"]], [["SCONJ", "VERB"]], "el")
    assert numbers == {"f1": 50.0, "precision": 50.0, "recall": 50.0, "token_accuracy": 50.0}


def test_token_accuracy_goes_over_tokens_not_sentences():
    assert score(Metric.TOKEN_ACCURACY, [["N", "N", "N"], ["N"]], [["N", "N", "N"], ["V"]], "en") == {
        "accuracy": 75
    }


def test_squad_takes_the_best_answer_and_missing_questions_score_0():
    gold = {"1": ["The old gardener", "gardener"], "2": ["May"], "3": ["12 January 1861"]}
    numbers = score(Metric.SQUAD, gold, {"1": "a gardener!", "3": "in January 1861"}, "en")
    assert numbers["exact_match"] == pytest.approx(100 / 3)
    assert numbers["f1"] == pytest.approx((100 + 200 / 3) / 3)


def test_squad_without_answer_wants_none():
    assert score(Metric.SQUAD, {"1": [], "2": []}, {"1": "", "2": "May"}, "en") == {
        "exact_match": 50,
        "f1": 50,
    }


def test_squad_normalisation_is_english_in_every_language():
    assert squad_normalise("The  bird's nest, an A.") == "birds nest"
    assert squad_normalise("«la maison»。") == "«la maison»。"


@pytest.mark.parametrize(
    ("language", "answer", "normalised"),
    [
        ("en", "The «river», a river", "river river"),
        ("es", "los ríos de la «Mancha»", "ríos de mancha"),
        ("de", "Der Fluß — dem Meer", "fluß meer"),
        ("vi", "những dòng sông của làng", "dòng sông làng"),
        ("ar", "النهر الكبير؟", "نهر كبير"),
        ("hi", "चौड़ी नदी।", "चौड़ी नदी"),
        ("zh", "1861年，大河 Ouse", "1861 年 大 河 ouse"),  # noqa: RUF001 - the full-width comma is the case
    ],
)
def test_mlqa_normalises_by_language(language, answer, normalised):
    assert mlqa_normalise(answer, language) == normalised


def test_mlqa_refuses_other_languages():
    with pytest.raises(ValueError, match="'fr'"):
        score(Metric.MLQA, {"1": ["a"]}, {"1": "a"}, "fr")


def test_squad_v2_answers_below_the_best_threshold():
    gold = {"1": ["May"], "2": [], "3": ["the old oak"], "4": []}
    predicted = {
        "1": Guess("May", -3.0),
        "2": Guess("June", 2.0),
        "3": Guess("old oak tree", 1.0),
        "4": Guess("Ouse", 0.0),
    }
    # exact: only question 1 answered is best: 1, 2 and 4 are right. F1: 3 answered costs 4 and gains 0.8.
    assert score(Metric.SQUAD_V2, gold, predicted, "en") == {"exact_match": 75.0, "f1": 75.0}
    assert score(Metric.SQUAD_V2, {"2": []}, predicted, "en") == {"exact_match": 100.0, "f1": 100.0}


def test_squad_v2_tries_only_thresholds_that_exist():
    gold = {"1": ["May"], "2": []}
    equal = {"1": Guess("May", 0.0), "2": Guess("June", 0.0)}
    assert score(Metric.SQUAD_V2, gold, equal, "en")["exact_match"] == 50.0


def test_mining_counts_distinct_pairs():
    gold, found = {("de-1", "en-1"), ("de-2", "en-2")}, {("de-1", "en-1"), ("de-2", "en-3"), ("de-4", "en-4")}
    assert score(Metric.MINING_F1, gold, found, "de") == {
        "f1": pytest.approx(40.0),
        "precision": pytest.approx(100 / 3),
        "recall": 50.0,
    }


def test_main_score_of_qa_is_the_mean_of_exact_match_and_f1():
    assert main_score(Metric.MLQA, {"exact_match": 40.0, "f1": 60.0}) == 50.0
    assert main_score(Metric.TAGGING_F1, {"f1": 40.0, "token_accuracy": 60.0}) == 40.0


@given(labels)
def test_perfect_labels_score_100(gold):
    assert score(Metric.ACCURACY, gold, gold, "en")["accuracy"] == 100


@given(tags)
def test_perfect_tags_score_100(gold):
    numbers = score(Metric.TAGGING_F1, gold, gold, "en")
    assert numbers["token_accuracy"] == 100
    assert numbers["f1"] == (100 if list(entities(gold)) else 0)


@given(questions, st.sampled_from(["en", "es", "hi", "vi", "de", "ar", "zh"]))
def test_a_gold_answer_is_an_exact_match(drawn, language):
    gold = {identifier: answers for identifier, (answers, _) in drawn.items()}
    first = {identifier: answers[0] for identifier, answers in gold.items()}
    assert score(Metric.SQUAD, gold, first, language)["exact_match"] == 100
    assert score(Metric.MLQA, gold, first, language)["exact_match"] == 100


@given(pairs)
def test_perfect_mining_scores_100(gold):
    assert score(Metric.MINING_F1, gold, gold, "de")["f1"] == (100 if gold else 0)


@given(st.lists(st.tuples(*2 * [st.sampled_from("012")]), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_items_is_nothing(items, rng):
    shuffled = rng.sample(items, len(items))
    for metric in (Metric.ACCURACY, Metric.ACCURACY_AND_F1):
        assert score(metric, *map(list, zip(*items, strict=True)), "en") == score(
            metric, *map(list, zip(*shuffled, strict=True)), "en"
        )


@given(tags, st.randoms(use_true_random=False))
def test_the_order_of_sentences_is_nothing_and_scores_stay_in_bounds(gold, rng):
    predicted = [[rng.choice(UPOS + ENTITY_TAGS) for _ in sentence] for sentence in gold]
    order = rng.sample(range(len(gold)), len(gold))
    numbers = score(Metric.TAGGING_F1, gold, predicted, "en")
    assert all(0 <= value <= 100 for value in numbers.values())
    assert numbers == pytest.approx(
        score(Metric.TAGGING_F1, [gold[i] for i in order], [predicted[i] for i in order], "en")
    )


@given(questions, st.randoms(use_true_random=False))
def test_the_order_of_questions_is_nothing_and_scores_stay_in_bounds(drawn, rng):
    gold = {identifier: answers for identifier, (answers, _) in drawn.items()}
    guesses = {
        identifier: Guess(text, rng.choice([-1.0, 0.0, 1.0])) for identifier, (_, text) in drawn.items()
    }
    backwards = dict(reversed(gold.items()))
    for metric, predicted in (
        (Metric.SQUAD, {identifier: guess.text for identifier, guess in guesses.items()}),
        (Metric.SQUAD_V2, guesses),
    ):
        numbers = score(metric, gold, predicted, "en")
        assert numbers == pytest.approx(score(metric, backwards, predicted, "en"))
        assert all(0 <= value <= 100 for value in numbers.values())
        assert numbers["exact_match"] <= numbers["f1"] + 1e-9 or metric is Metric.SQUAD
