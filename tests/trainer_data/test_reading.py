"""Every form of file reads the same, and a broken one is named; nothing is dropped."""

from __future__ import annotations

import csv
import errno
import json
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts_trainer.data.examples import PairExample
from xstilts_trainer.data.load import load_examples, load_texts

from .conftest import MNLI, SQUAD, nli, problems, span

NLI_ROWS = [
    {"premise": "Der „Fluss“, breit\u2028und tief", "hypothesis": 'Er ist "breit".', "label": 0},
    {"premise": "一条\tline\nof two", "hypothesis": "zwei", "label": 2},
]
NLI_EXAMPLES = [PairExample(row["premise"], row["hypothesis"], row["label"]) for row in NLI_ROWS]


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


def test_a_csv_cell_may_hold_a_long_text(tmp_path):
    premise = "word " * 40_000
    (tmp_path / "train.en.csv").write_text(f"premise,hypothesis,label\n{premise},H,0\n", encoding="utf-8")
    (example,) = load_examples(tmp_path, MNLI, "train", "en")
    assert example.text == premise


def test_rows_of_a_csv_may_end_with_carriage_returns_alone(tmp_path):
    (tmp_path / "train.en.csv").write_bytes(b'premise,hypothesis,label\rP,"H\rH",0\rP,H,1\r')
    examples = load_examples(tmp_path, MNLI, "train", "en")
    assert examples == [PairExample("P", "H\rH", 0), PairExample("P", "H", 1)]


@pytest.mark.parametrize(
    ("suffix", "header", "row"),
    [(".jsonl", "", '{"text": "%s"}'), (".csv", "text\n", '"%s"'), (".tsv", "text\n", "%s")],
)
def test_a_corpus_may_be_larger_than_memory(tmp_path, suffix, header, row):
    text = "ж" * 1000
    path = tmp_path / f"train.ru{suffix}"
    path.write_text(header + f"{row % text}\n" * 5000, encoding="utf-8")
    tracemalloc.start()
    try:
        assert load_texts(tmp_path, "train", "ru", most=10) == [text] * 10
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 5


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
