"""Each format turns a row of its columns into the example that its docstring says; label spellings."""

from __future__ import annotations

import pytest

from xstilts.catalogue import CATALOGUE
from xstilts_trainer.data.examples import (
    ChoiceExample,
    PairExample,
    RetrievalExample,
    SpanExample,
    TagExample,
)
from xstilts_trainer.data.formats import FORMATS
from xstilts_trainer.data.rows import ColumnError, LabelSet, Row

NLI = LabelSet(("entailment", "neutral", "contradiction"))
NER = LabelSet(("O", "B-PER", "I-PER"))
SPAN = {
    "id": "q1",
    "context": "Rio is big.",
    "question": "What?",
    "answers": {"text": ["big"], "answer_start": [7]},
}


@pytest.mark.parametrize(
    ("name", "labels", "values", "example"),
    [
        ("nli", NLI, {"premise": "P", "hypothesis": "H", "label": 1}, PairExample("P", "H", 1)),
        (
            "qqp",
            LabelSet(("different", "duplicate")),
            {"question1": "A?", "question2": "", "label": "duplicate"},
            PairExample("A?", "", 1),
        ),
        (
            "pawsx",
            LabelSet(("0", "1")),
            {"id": 7, "sentence1": "A", "sentence2": "B", "label": "0"},
            PairExample("A", "B", 0),
        ),
        ("squad", LabelSet(()), SPAN, SpanExample("q1", "What?", "Rio is big.", ("big",), (7,))),
        ("span_qa", LabelSet(()), SPAN | {"id": 3}, SpanExample("3", "What?", "Rio is big.", ("big",), (7,))),
        (
            "hellaswag",
            LabelSet(()),
            {"ctx_a": "A man runs.", "ctx_b": "he", "endings": ["a", "b", "c", "d"], "label": "3"},
            ChoiceExample(
                (
                    ("A man runs.", "he a"),
                    ("A man runs.", "he b"),
                    ("A man runs.", "he c"),
                    ("A man runs.", "he d"),
                ),
                3,
            ),
        ),
        (
            "cosmos_qa",
            LabelSet(()),
            {
                "context": "C",
                "question": "Q",
                "answer0": "a",
                "answer1": "b",
                "answer2": "c",
                "answer3": "d",
                "label": 2,
            },
            ChoiceExample((("C Q", "a"), ("C Q", "b"), ("C Q", "c"), ("C Q", "d")), 2),
        ),
        (
            "commonsense_qa",
            LabelSet(()),
            {"question": "Q", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"},
            ChoiceExample((("Q", "x"), ("Q", "y")), 1),
        ),
        (
            "ccg",
            LabelSet(("N", "N/N")),
            {"text": "good news", "tags": "N/N N"},
            TagExample(("good", "news"), (1, 0)),
        ),
        (
            "udpos",
            LabelSet(("ADJ", "NOUN")),
            {"tokens": ["good", "news"], "pos_tags": ["ADJ", "NOUN"]},
            TagExample(("good", "news"), (0, 1)),
        ),
        ("panx", NER, {"tokens": ["Ada", "L"], "ner_tags": [1, 2]}, TagExample(("Ada", "L"), (1, 2))),
        (
            "tatoeba",
            LabelSet(()),
            {"source_sentence": "ja", "target_sentence": "yes"},
            RetrievalExample("ja", "yes"),
        ),
        ("text_classification", NLI, {"text": "T", "label": "neutral"}, PairExample("T", None, 1)),
        (
            "text_classification",
            NLI,
            {"text": "T", "text_pair": "U", "label": "2"},
            PairExample("T", "U", 2),
        ),
        (
            "multiple_choice",
            LabelSet(()),
            {"text": "Q", "choices": ["x", "y", "z"], "label": 2},
            ChoiceExample((("Q", "x"), ("Q", "y"), ("Q", "z")), 2),
        ),
        ("tagging", NER, {"tokens": ["Ada"], "tags": ["B-PER"]}, TagExample(("Ada",), (1,))),
        ("retrieval", LabelSet(()), {"source": "ja", "target": "yes"}, RetrievalExample("ja", "yes")),
    ],
)
def test_a_row_becomes_its_example(name, labels, values, example):
    assert FORMATS[name](Row(values, labels)) == example


def test_every_task_of_the_catalogue_has_a_format():
    formats = {entry.task.format for entry in CATALOGUE.values()}
    assert formats - set(FORMATS) == {"bucc2018"}


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        (0, 0),
        ("0", 0),
        ("entailment", 0),
        ("2", 2),
        (3, None),
        (-1, None),
        ("-1", None),
        (True, None),
        (1.0, None),
        ("1.0", None),
        ("01", None),
        ("Neutral", None),
        ("", None),
        (["neutral"], None),
    ],
)
def test_label_spellings(spelling, number):
    assert NLI.number(spelling) == number


def test_labels_named_by_digits_have_no_second_reading():
    stars = LabelSet(("1", "2", "3"))
    assert [stars.number(spelling) for spelling in (1, "1", 3, 0, "0")] == [0, 0, 2, None, None]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nli", {"premise": "P", "hypothesis": "H", "label": -1}),
        ("nli", {"premise": "P", "hypothesis": "H"}),
        ("hellaswag", {"ctx_a": "A", "ctx_b": "b", "endings": ["a", "b", "c", "d"], "label": ""}),
        (
            "commonsense_qa",
            {"question": "Q", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": ""},
        ),
        (
            "cosmos_qa",
            {
                "context": "C",
                "question": "Q",
                "answer0": "a",
                "answer1": "b",
                "answer2": "c",
                "answer3": "d",
                "label": -1,
            },
        ),
    ],
)
def test_a_withheld_label_is_an_error(name, values):
    with pytest.raises(ColumnError):
        FORMATS[name](Row(values, NLI))


def test_a_question_without_answers_is_squad_2():
    values = SPAN | {"answers": {"text": [], "answer_start": []}}
    assert FORMATS["squad"](Row(values, may_be_unanswerable=True)).answers == ()
    with pytest.raises(ColumnError, match="at least one answer"):
        FORMATS["squad"](Row(values))


def test_lists_and_mappings_are_json_in_a_text_cell():
    tagged = Row({"tokens": '["Ada", "L"]', "ner_tags": '["B-PER", 2]'}, NER, text_cells=True)
    assert FORMATS["panx"](tagged) == TagExample(("Ada", "L"), (1, 2))
    answers = '{"text": ["big"], "answer_start": [7]}'
    assert FORMATS["squad"](Row(SPAN | {"answers": answers}, text_cells=True)).starts == (7,)
    with pytest.raises(ColumnError, match='must be a list of texts in JSON, was "Ada L"'):
        FORMATS["panx"](Row({"tokens": "Ada L", "ner_tags": "[1, 2]"}, NER, text_cells=True))
