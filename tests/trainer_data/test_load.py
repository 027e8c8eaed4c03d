"""A folder of files: what is there is found, and every fault is named with file, row and column."""

from __future__ import annotations

import pytest

from xstilts.catalogue import CATALOGUE
from xstilts.errors import DataError
from xstilts.stage import TaskData
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.examples import TagExample
from xstilts_trainer.data.load import load_examples, task_labels
from xstilts_trainer.evaluation.test_sets import load_task

from .conftest import MNLI, SQUAD, nli, problems, span

PANX = CATALOGUE["panx"].task
CCG = CATALOGUE["ccg"].task
CHOICE = Task(name="own", type=TaskType.MULTIPLE_CHOICE, format="multiple_choice", metric=Metric.ACCURACY)


@pytest.mark.parametrize("header", ["", "text\ttags\n"])
def test_ccg(tmp_path, header):
    (tmp_path / "train.en.tsv").write_text(header + "No , it \" was n't\tN , NP LQU S N\n")
    (tmp_path / "tags_to_id.json").write_text('{"NP": 1, "N": 0, ",": 2, "LQU": 3, "S": 4}')
    assert task_labels(tmp_path, CCG) == ("N", "NP", ",", "LQU", "S")
    tokens = ("No", ",", "it", '"', "was", "n't")
    assert load_examples(tmp_path, CCG, "train", "en") == [TagExample(tokens, (0, 2, 1, 3, 4, 0))]


@pytest.mark.parametrize(
    "content", ["[]", "{}", "nonsense", '{"N": 0, "NP": 2}', '{"N": 0, "NP": 0}', '{"N": null}']
)
def test_ccg_tags_must_be_numbered_without_gaps(tmp_path, content):
    (tmp_path / "tags_to_id.json").write_text(content)
    with pytest.raises(DataError, match=r"tags_to_id.json: must map each tag to its number, from 0 without"):
        task_labels(tmp_path, CCG)


def test_ccg_without_its_tags(tmp_path):
    (tmp_path / "train.en.tsv").write_text("No\tN\n")
    assert problems(tmp_path, CCG) == [
        (
            "tags_to_id.json: must be there beside the files of ccg: it must map each tag to its number, "
            'from 0 without gaps, as {"N": 0, "NP": 1}'
        )
    ]


@pytest.mark.parametrize(
    ("task", "rows", "problem"),
    [
        (
            MNLI,
            [nli(), {"premise": "P", "label": 0}],
            "row 2, column hypothesis: must be there, the row has only premise, label",
        ),
        (MNLI, [nli(premise=None)], "row 1, column premise: must have a value, was null"),
        (MNLI, [nli(premise=["P"])], 'row 1, column premise: must be a text, was ["P"]'),
        (
            MNLI,
            [nli(premise=" ", hypothesis="")],
            'row 1, column premise: must not be empty where hypothesis is empty too, was " "',
        ),
        (
            MNLI,
            [nli(label=3)],
            (
                "row 1, column label: must be one of entailment, neutral, contradiction, "
                "or a number from 0 to 2, was 3"
            ),
        ),
        (
            MNLI,
            [nli(label=-1)],
            (
                "row 1, column label: must be one of entailment, neutral, contradiction, "
                "or a number from 0 to 2, was -1"
            ),
        ),
        (
            MNLI,
            [nli(label="entails")],
            (
                "row 1, column label: must be one of entailment, neutral, contradiction, "
                'or a number from 0 to 2, was "entails"'
            ),
        ),
        (
            PANX,
            [{"tokens": ["A", "b"], "ner_tags": ["O"]}],
            "row 1, column ner_tags: must hold one tag a token, has 1 for 2 tokens",
        ),
        (
            PANX,
            [{"tokens": ["A", "b"], "ner_tags": ["O", "B-DOG"]}],
            (
                "row 1, column ner_tags: tag 2 must be one of O, B-PER, I-PER, B-ORG, I-ORG, B-LOC, I-LOC, "
                'or a number from 0 to 6, was "B-DOG"'
            ),
        ),
        (
            PANX,
            [{"tokens": [], "ner_tags": []}],
            "row 1, column tokens: must hold at least one token, was []",
        ),
        (
            PANX,
            [{"tokens": "A b", "ner_tags": ["O", "O"]}],
            'row 1, column tokens: must be a list of texts, was "A b"',
        ),
        (
            PANX,
            [{"tokens": ["A"], "ner_tags": "O"}],
            'row 1, column ner_tags: must be a list of tags, was "O"',
        ),
        (
            SQUAD,
            [span(answers={"text": ["big"], "answer_start": [6]})],
            (
                "row 1, column answers.answer_start: must be the place of answer 1 in the context, counted in "
                'code points, was 6: there stands " bi", not "big"'
            ),
        ),
        (
            SQUAD,
            [span(answers={"text": ["big"], "answer_start": [-4]})],
            (
                "row 1, column answers.answer_start: must be the place of answer 1 in the context, counted in "
                'code points, was -4: there stands "", not "big"'
            ),
        ),
        (
            SQUAD,
            [span(answers={"text": ["big"], "answer_start": ["7"]})],
            'row 1, column answers.answer_start: must be a list of integers, was ["7"]',
        ),
        (
            SQUAD,
            [span(answers={"text": ["big"], "answer_start": []})],
            "row 1, column answers.answer_start: must hold one place an answer, has 0 for 1 answers",
        ),
        (
            SQUAD,
            [span(answers={"text": [""], "answer_start": [0]})],
            'row 1, column answers.text: answer 1 must not be empty, was ""',
        ),
        (SQUAD, [span(answers=[])], "row 1, column answers: must be a mapping, was []"),
        (
            SQUAD,
            [span(answers={"text": ["big"]})],
            "row 1, column answers.answer_start: must be there, the row has only answers.text",
        ),
        (SQUAD, [span(question="")], 'row 1, column question: must not be empty, was ""'),
        (SQUAD, [span(), span(id="b"), span()], 'row 3, column id: must stand once, "a" is in row 1 too'),
        (
            CHOICE,
            [{"text": "Q", "choices": ["x"], "label": 0}],
            'row 1, column choices: must hold two choices or more, was ["x"]',
        ),
        (
            CHOICE,
            [{"text": "Q", "choices": ["x", " "], "label": 0}],
            'row 1, column choices: choice 2 must not be empty, was " "',
        ),
        (
            CHOICE,
            [{"text": "Q", "choices": ["x", "y"], "label": 2}],
            "row 1, column label: must be one of 0, 1, was 2",
        ),
        (
            CHOICE,
            [
                {"text": "Q", "choices": ["x", "y"], "label": 0},
                {"text": "Q", "choices": ["x", "y", "z"], "label": 0},
            ],
            "row 2: must have 2 choices, as the first row, has 3",
        ),
    ],
)
def test_a_wrong_row_is_named(write, task, rows, problem):
    assert problems(write("train.en.jsonl", rows), task) == [f"train.en.jsonl: {problem}"]


def test_every_wrong_row_is_told_up_to_twenty(write):
    rows = [nli(), *[nli(label=9)] * 30]
    told = problems(write("train.en.jsonl", rows), MNLI)
    assert [line.split(",")[0] for line in told[:20]] == [
        f"train.en.jsonl: row {row}" for row in range(2, 22)
    ]
    assert told[20:] == ["train.en.jsonl: has 10 more problems, 30 in all"]


def test_an_unknown_language_is_told_with_the_known_ones(write):
    write("test.de.jsonl", [nli()])
    folder = write("test.sw.jsonl", [nli()])
    assert problems(folder, MNLI, "test", "fr") == [
        "test.fr.{jsonl,parquet,csv,tsv}: must be there: split test is there in de, sw"
    ]


def test_an_unknown_split_is_told_with_what_is_there(write):
    folder = write("validation_matched.en.jsonl", [nli()])
    assert problems(folder, MNLI, "validation") == [
        "validation.en.{jsonl,parquet,csv,tsv}: must be there: the folder holds validation_matched.en.jsonl"
    ]
    assert problems(folder / "nowhere", MNLI, "validation") == [
        "validation.en.{jsonl,parquet,csv,tsv}: must be there: the folder holds no data file"
    ]


def test_a_split_stands_in_one_file(write):
    write("train.en.jsonl", [nli()])
    assert problems(write("train.en.csv", [nli()]), MNLI) == [
        "train.en.{jsonl,parquet,csv,tsv}: must be one file, was train.en.jsonl, train.en.csv"
    ]


def test_all_languages_have_as_many_choices(write):
    """Their rows meet in one batch: of three choices a third would be made up for a row of two."""
    write("test.en.jsonl", [{"text": "Q", "choices": ["x", "y", "z"], "label": 2}])
    folder = write("test.de.jsonl", [{"text": "Q", "choices": ["x", "y"], "label": 1}])
    with pytest.raises(DataError) as caught:
        load_task(TaskData(task=CHOICE, role="data", split="test", languages=("en", "de")), folder)
    assert str(caught.value) == "own/test.de: must have 3 choices a row, as test.en has, has 2"
