"""Files of a submission: predictions and labels as XTREME lays them out, `<task>/test-<language>.{tsv|json}`.

A task's metric says what its files hold: labels, one a line; tags, one a line with an empty line between sentences;
pairs of ids, tab-separated; or, for span QA, JSON: {question id: text} predicted, and SQuAD's nested form as gold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

from xstilts.errors import DataError, Problem
from xstilts.task import Metric


class Layout(Enum):
    """What a file of a submission holds."""

    LABELS = "labels"
    TAGS = "tags"
    PAIRS = "pairs"
    ANSWERS = "answers"

    @classmethod
    def of(cls, metric: Metric) -> Layout:
        """The layout of a metric's files."""
        match metric:
            case Metric.ACCURACY | Metric.ACCURACY_AND_F1:
                return cls.LABELS
            case Metric.TAGGING_F1 | Metric.TOKEN_ACCURACY:
                return cls.TAGS
            case Metric.MINING_F1:
                return cls.PAIRS
            case Metric.SQUAD | Metric.SQUAD_V2 | Metric.MLQA:
                return cls.ANSWERS


def submission_path(folder: Path, task: str, language: str, metric: Metric) -> Path:
    """Where a submission (or a label folder) keeps a task's file of one language."""
    ending = "json" if Layout.of(metric) is Layout.ANSWERS else "tsv"
    return folder / task / f"test-{language}.{ending}"


def write_predictions(folder: Path, task: str, language: str, metric: Metric, predicted: Any) -> Path:
    """Write the predictions of one language and say where.

    Args:
        folder: the submission.
        task: the task's name: its folder.
        language: of the test set.
        metric: the task's; it decides the layout.
        predicted: labels by name or indices; tags by name, a list a sentence; pairs of ids, written sorted; or
            {question id: text}.

    Raises:
        ValueError: a sentence without tags, or a label or id that would break its line.
    """
    match Layout.of(metric):
        case Layout.LABELS:
            text = _lines(map(str, predicted))
        case Layout.TAGS:
            text = "\n".join(_lines(sentence) for sentence in _not_empty(predicted))
        case Layout.PAIRS:
            text = "".join(f"{_word(source)}\t{_word(target)}\n" for source, target in sorted(predicted))
        case Layout.ANSWERS:
            text = json.dumps(dict(predicted), ensure_ascii=False, indent=1) + "\n"
    path = submission_path(folder, task, language, metric)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def read_predictions(path: Path, metric: Metric) -> Any:
    """The predictions of one file, as `xstilts.scoring.score` takes them (labels and indices as strings).

    Raises:
        DataError: no such file, not UTF-8, or not in the metric's layout; it names file and line.
    """
    if Layout.of(metric) is not Layout.ANSWERS:
        return read_gold(path, metric)
    answers = _read_json(path)
    if not isinstance(answers, dict):
        raise DataError(Problem(str(path), "must hold one JSON object {question id: text}"))
    for identifier, text in answers.items():
        if not isinstance(text, str):
            raise DataError(Problem(f"{path}: question {identifier}", f"must have a text, was {text!r}"))
    return answers


def read_gold(path: Path, metric: Metric) -> Any:
    """The gold of one label file, as `xstilts.scoring.score` takes it.

    Raises:
        DataError: no such file, not UTF-8, or not in the metric's layout; it names file and line.
    """
    match Layout.of(metric):
        case Layout.LABELS:
            return read_lines(path)
        case Layout.TAGS:
            return sentences(read_lines(path))
        case Layout.PAIRS:
            return {_pair(path, number, line) for number, line in enumerate(read_lines(path), start=1)}
        case Layout.ANSWERS:
            return _gold_answers(path, _read_json(path))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without surrounding white space; empty lines at the end are dropped.

    Raises:
        DataError: no such file, or not UTF-8.
    """
    lines = [line.strip() for line in _read_text(path).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def sentences(lines: Sequence[str]) -> list[list[str]]:
    """Tags, one a line, as one list a sentence: an empty line ends a sentence."""
    return [list(group) for is_tag, group in groupby(lines, key=bool) if is_tag]


def _lines(items: Iterable[str]) -> str:
    return "".join(f"{_word(item)}\n" for item in items)


def _word(item: str) -> str:
    if not item or item != item.strip() or "\n" in item or "\t" in item:
        raise ValueError(f"a label or id must fill its place in a line, was {item!r}")
    return item


def _not_empty(tagged: Iterable[Sequence[str]]) -> Iterable[Sequence[str]]:
    for sentence in tagged:
        if not sentence:
            raise ValueError("a sentence without tags cannot be told from a boundary between sentences")
        yield sentence


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(Problem(str(path), f"must be a file that can be read: {error.strerror}")) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(Problem(f"{path}: line {line}", "must be UTF-8, was not")) from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(Problem(f"{path}: line {error.lineno}", f"must be JSON: {error.msg}")) from None


def _pair(path: Path, number: int, line: str) -> tuple[str, str]:
    match line.split("\t"):
        case [source, target] if source and target:
            return source, target
        case _:
            raise DataError(
                Problem(f"{path}: line {number}", f"must be two ids with a tab between, was {line!r}")
            )


def _gold_answers(path: Path, content: Any) -> dict[str, list[str]]:
    gold: dict[str, list[str]] = {}
    try:
        for identifier, answers in _questions(content):
            if identifier in gold:
                raise DataError(
                    Problem(f"{path}: question {identifier}", "must stand there once, stands twice")
                )
            gold[identifier] = answers
    except (KeyError, TypeError) as error:
        raise DataError(
            Problem(
                str(path), f"must be in SQuAD's form, data > paragraphs > qas > id, answers > text: {error}"
            )
        ) from None
    return gold


def _questions(content: Any) -> Iterator[tuple[str, list[str]]]:
    """The questions of SQuAD's form: id and answers."""
    articles = content["data"] if isinstance(content, dict) and "data" in content else content
    for article in articles:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                identifier, answers = question["id"], [answer["text"] for answer in question["answers"]]
                if not all(isinstance(text, str) for text in (identifier, *answers)):
                    raise TypeError(f"id and text must be strings, were {identifier!r}, {answers!r}")
                yield identifier, answers
