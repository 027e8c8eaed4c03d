"""Files: every form reads the same; every fault is named with file, row and column; nothing is dropped."""

from __future__ import annotations

import csv
import errno
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.catalogue import CATALOGUE
from xstilts.errors import DataError
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.examples import Corpora, PairExample, Sentence, TagExample
from xstilts_trainer.data.load import load_corpora, load_examples, task_labels

MNLI = CATALOGUE["mnli"].task
SQUAD = CATALOGUE["squad"].task
PANX = CATALOGUE["panx"].task
CCG = CATALOGUE["ccg"].task
CHOICE = Task(name="own", type=TaskType.MULTIPLE_CHOICE, format="multiple_choice", metric=Metric.ACCURACY)

NLI_ROWS = [
    {"premise": "Der „Fluss“, breit\u2028und tief", "hypothesis": 'Er ist "breit".', "label": 0},
    {"premise": "一条\tline\nof two", "hypothesis": "zwei", "label": 2},
]
NLI_EXAMPLES = [PairExample(row["premise"], row["hypothesis"], row["label"]) for row in NLI_ROWS]


def problems(folder, task, split="train", language="en"):
    with pytest.raises(DataError) as caught:
        load_examples(folder, task, split, language)
    return [str(problem) for problem in caught.value.problems]


def nli(**changes):
    return {"premise": "P", "hypothesis": "H", "label": 0} | changes


def span(**changes):
    answers = {"text": ["big"], "answer_start": [7]}
    return {"id": "a", "context": "Rio is big.", "question": "What?", "answers": answers} | changes


def test_json_lines(write):
    assert load_examples(write("train.en.jsonl", NLI_ROWS), MNLI, "train", "en") == NLI_EXAMPLES


def test_parquet(tmp_path):
    pq.write_table(pa.Table.from_pylist(NLI_ROWS), tmp_path / "train.en.parquet")
    assert load_examples(tmp_path, MNLI, "train", "en") == NLI_EXAMPLES


def test_parquet_of_nested_columns(tmp_path):
    pq.write_table(pa.Table.from_pylist([span()]), tmp_path / "train.en.parquet")
    assert load_examples(tmp_path, SQUAD, "train", "en")[0].starts == (7,)


def test_csv_with_quotes_line_breaks_and_a_byte_order_mark(tmp_path):
    with (tmp_path / "train.en.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["label", "premise", "hypothesis"])
        writer.writeheader()
        writer.writerows(NLI_ROWS)
    assert load_examples(tmp_path, MNLI, "train", "en") == NLI_EXAMPLES


def test_tsv_quotes_nothing(tmp_path):
    (tmp_path / "train.en.tsv").write_text('premise\thypothesis\tlabel\r\n"P\tH"\tneutral\r\n')
    assert load_examples(tmp_path, MNLI, "train", "en") == [PairExample('"P', 'H"', 1)]


def test_json_lines_may_end_without_a_line_feed(tmp_path):
    (tmp_path / "train.en.jsonl").write_text(json.dumps(nli()))
    assert len(load_examples(tmp_path, MNLI, "train", "en")) == 1


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


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("train.en.jsonl", b"", "train.en.jsonl: must hold at least one row, is empty"),
        (
            "train.en.jsonl",
            b'{"premise": "P",\n',
            (
                'train.en.jsonl: row 1: must be a JSON object, was "{\\"premise\\": \\"P\\"," '
                "(Expecting property name enclosed in double quotes at character 17)"
            ),
        ),
        (
            "train.en.jsonl",
            b"[" * 100_000 + b"\n",
            "train.en.jsonl: row 1: must be a JSON object, is nested too deeply or holds a number of too many digits",
        ),
        (
            "train.en.jsonl",
            b'{"premise": "P", "hypothesis": "H", "label": ' + b"1" * 5000 + b"}\n",
            "train.en.jsonl: row 1: must be a JSON object, is nested too deeply or holds a number of too many digits",
        ),
        (
            "train.en.jsonl",
            b'{"premise": "ab\\ud83d", "hypothesis": "H", "label": 0}\n',
            "train.en.jsonl: row 1, column premise: must be Unicode text, has \\ud83d, half of a surrogate pair, at character 3",
        ),
        ("train.en.jsonl", b"[1]\n", "train.en.jsonl: row 1: must be a JSON object, was [1]"),
        (
            "train.en.jsonl",
            b"\n",
            'train.en.jsonl: row 1: must be a JSON object, was "" (Expecting value at character 1)',
        ),
        ("train.en.jsonl", b'{}\n"\xff"\n', "train.en.jsonl: line 2: must be UTF-8, has the byte 0xff"),
        ("train.en.csv", b"", "train.en.csv: header: must name each column once, was []"),
        (
            "train.en.csv",
            b"premise,premise\n",
            'train.en.csv: header: must name each column once, was ["premise", "premise"]',
        ),
        ("train.en.csv", b"premise,hypothesis,label\n", "train.en.csv: must hold at least one row, is empty"),
        (
            "train.en.csv",
            b'premise,hypothesis,label\nP,H,0\nP,"H,0\n',
            "train.en.csv: row 2: must be CSV quoted as RFC 4180 says, line 3: unexpected end of data",
        ),
        (
            "train.en.csv",
            b'premise,hypothesis,label\nP,"H" too,0\n',
            "train.en.csv: row 1: must be CSV quoted as RFC 4180 says, line 2: ',' expected after '\"'",
        ),
        (
            "train.en.csv",
            b"premise,hypothesis,label\nP,H,or not,0\n",
            "train.en.csv: row 1: must have 3 cells (premise, hypothesis, label), has 4",
        ),
        (
            "train.en.tsv",
            b"premise\thypothesis\tlabel\nP\tH\n",
            "train.en.tsv: row 1: must have 3 cells (premise, hypothesis, label), has 2",
        ),
        ("train.en.tsv", b"", "train.en.tsv: header: must name each column once, was []"),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    assert problems(tmp_path, MNLI) == [problem]


def test_an_error_can_be_written_whatever_it_shows(write):
    (problem,) = problems(write("train.en.jsonl", [nli(label="\ud83d")]), MNLI)
    assert problem.encode().endswith(rb'was "\ud83d"')


def test_a_broken_parquet_file(tmp_path):
    (tmp_path / "train.en.parquet").write_bytes(b"PAR1 and nothing more")
    (problem,) = problems(tmp_path, MNLI)
    assert problem.startswith("train.en.parquet: must be a parquet file: ")


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_damaged_pages_of_a_parquet_file(tmp_path, compression):
    """Its footer is whole, so that only reading the rows tells."""
    path = tmp_path / "train.en.parquet"
    pq.write_table(pa.Table.from_pylist(NLI_ROWS * 50), path, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) // 3) + content[4 + len(content) // 3 :])
    (problem,) = problems(tmp_path, MNLI)
    assert problem.startswith("train.en.parquet: must be a parquet file: ")


def test_a_parquet_file_of_texts_that_are_no_utf_8(tmp_path):
    rows = pa.Table.from_pylist(NLI_ROWS)
    wrong = pa.array([b"right", b"wr\xffng"]).view(pa.string())
    pq.write_table(rows.set_column(0, "premise", wrong), tmp_path / "train.en.parquet")
    assert problems(tmp_path, MNLI) == ["train.en.parquet: must hold texts in UTF-8, has the byte 0xff"]


def test_a_disk_that_fails_is_not_the_files_fault(tmp_path, monkeypatch):
    pq.write_table(pa.Table.from_pylist(NLI_ROWS), tmp_path / "train.en.parquet")

    def fail(*_arguments):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        load_examples(tmp_path, MNLI, "train", "en")


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


@pytest.fixture
def corpora(write):
    write("corpus_source.zh.jsonl", [{"id": "zh-1", "sentence": "一"}, {"id": "zh-2", "sentence": "二"}])
    write("corpus_target.zh.jsonl", [{"id": "en-1", "sentence": "one"}])
    return write("validation.zh.jsonl", [{"source_id": "zh-1", "target_id": "en-1"}])


def test_corpora_and_their_gold_pairs(corpora):
    assert load_corpora(corpora, "validation", "zh") == Corpora(
        (Sentence("zh-1", "一"), Sentence("zh-2", "二")),
        (Sentence("en-1", "one"),),
        frozenset({("zh-1", "en-1")}),
    )


def test_a_gold_pair_names_sentences_of_the_corpora(corpora, write):
    write("validation.zh.jsonl", [{"source_id": "zh-3", "target_id": "en-1"}])
    with pytest.raises(DataError) as caught:
        load_corpora(corpora, "validation", "zh")
    assert str(caught.value) == (
        'validation.zh.jsonl: row 1, column source_id: must be the id of a sentence of its corpus, was "zh-3"'
    )


def test_an_id_stands_once_in_a_corpus(corpora, write):
    write("corpus_target.zh.jsonl", [{"id": "en-1", "sentence": "one"}, {"id": "en-1", "sentence": "two"}])
    with pytest.raises(
        DataError, match=r'corpus_target.zh.jsonl: row 2, column id: must stand once, "en-1" is'
    ):
        load_corpora(corpora, "validation", "zh")


def test_a_csv_cell_may_hold_a_long_text(tmp_path):
    premise = "word " * 40_000
    (tmp_path / "train.en.csv").write_text(f"premise,hypothesis,label\n{premise},H,0\n", encoding="utf-8")
    (example,) = load_examples(tmp_path, MNLI, "train", "en")
    assert example.text == premise
