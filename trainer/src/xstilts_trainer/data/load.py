"""A folder of data files as examples: every row checked, none dropped.

A file is called `<split>.<language>` and one of `xstilts.plan.rows.SUFFIXES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from xstilts.errors import DataError, Problem
from xstilts.plan.rows import CORPORA, rows_file
from xstilts.task import Metric, Task
from xstilts_trainer.data.examples import (
    ChoiceExample,
    Corpora,
    Example,
    Sentence,
    SpanExample,
)
from xstilts_trainer.data.formats import FORMATS
from xstilts_trainer.data.reading import TEXT_TABLES, read_rows
from xstilts_trainer.data.rows import ColumnError, LabelSet, Row, shown
from xstilts_trainer.data.subsets import limited

REPORTED_PROBLEMS = 20
CCG_COLUMNS = ("text", "tags")
CCG_TAGS = "tags_to_id.json"

T = TypeVar("T")


def load_examples(folder: Path, task: Task, split: str, language: str) -> list[Example]:
    """The examples of one file, in its order.

    Args:
        folder: the task's data.
        task: tells the format of the rows and the labels. BUCC has other files: `load_corpora`.
        split: the split's name in the files.
        language: the language's code in the files.

    Raises:
        DataError: no such file, or what is wrong in it: the first 20 problems as `file: row N, column C`, and the
            number of the others.
    """
    path = find_file(folder, split, language)
    labels = LabelSet(task_labels(folder, task))

    def row(values: Mapping[str, Any]) -> Row:
        return Row(
            values,
            labels,
            text_cells=path.suffix in TEXT_TABLES,
            may_be_unanswerable=task.metric is Metric.SQUAD_V2,
        )

    parse = FORMATS[task.format]
    examples = _parsed(path, lambda values: parse(row(values)), CCG_COLUMNS if task.format == "ccg" else ())
    problems = _Problems(path)
    problems.of_repeats(example.id if isinstance(example, SpanExample) else None for example in examples)
    _check_choices(problems, examples)
    problems.stop_if_any()
    return examples


def load_corpora(folder: Path, split: str, language: str) -> Corpora:
    """The two corpora of BUCC in a language and its English, and the gold pairs.

    Files: `corpus_source.<language>` and `corpus_target.<language>` (`id`, `sentence`), and the gold pairs
    `<split>.<language>` (`source_id`, `target_id`).

    Raises:
        DataError: a file is not there or wrong, an id stands twice, or a gold pair names a sentence that is not there.
    """
    sources, targets = (_sentences(find_file(folder, corpus, language)) for corpus in CORPORA)
    path = find_file(folder, split, language)
    pairs = _parsed(path, lambda values: (Row(values).text("source_id"), Row(values).text("target_id")))
    known = {sentence.id for sentence in sources}, {sentence.id for sentence in targets}
    problems = _Problems(path)
    for number, pair in enumerate(pairs, start=1):
        for column, identifier, ids in zip(("source_id", "target_id"), pair, known, strict=True):
            if identifier not in ids:
                problems.add(
                    number, column, f"must be the id of a sentence of its corpus, was {shown(identifier)}"
                )
    problems.of_repeats(pairs)
    problems.stop_if_any()
    return Corpora(sources, targets, frozenset(pairs))


def load_texts(folder: Path, split: str, language: str, most: int) -> list[str]:
    """The unlabelled text of a file (`text`), a row each; of more than `most` rows so many (see `limited`).

    A Wikipedia is larger than memory: others are read and checked, and not held.

    Raises:
        DataError: no such file, or what is wrong in it.
    """
    path = find_file(folder, split, language)
    return limited(_each_parsed(path, lambda values: Row(values).text("text")), most)


def task_labels(folder: Path, task: Task) -> tuple[str, ...]:
    """The class or tag names of a task in the order of their numbers: the task's, but CCG's stand in tags_to_id.json.

    Raises:
        DataError: tags_to_id.json is not there, or does not number its tags from 0 without gaps.
    """
    if task.format != "ccg":
        return task.labels
    path = folder / CCG_TAGS
    must = 'must map each tag to its number, from 0 without gaps, as {"N": 0, "NP": 1}'
    try:
        numbers = json.loads(path.read_bytes())
        names = {int(number): name for name, number in numbers.items()}
    except FileNotFoundError:
        raise DataError(
            Problem(CCG_TAGS, f"must be there beside the files of {task.name}: it {must}")
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(Problem(CCG_TAGS, f"{must}: {error}")) from error
    if sorted(names) != list(range(len(numbers))) or not names:
        raise DataError(Problem(CCG_TAGS, f"{must}, has {len(numbers)} tags with {len(names)} numbers"))
    return tuple(names[number] for number in sorted(names))


def find_file(folder: Path, split: str, language: str) -> Path:
    """The one file of a split in a language.

    Raises:
        DataError: there is none, or more than one; the message lists what is there.
    """
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    return folder / rows_file(names, split, language)


class _Problems:
    """What is wrong in one file, in the order of its rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[Problem] = []
        self._count = 0

    def add(self, row: int, column: str | None, message: str) -> None:
        self._count += 1
        if len(self._found) < REPORTED_PROBLEMS:
            place = f"row {row}" if column is None else f"row {row}, column {column}"
            self._found.append(Problem(f"{self._path.name}: {place}", message))

    def of_repeats(self, identifiers: Iterable[Hashable]) -> None:
        """A problem for each row whose id stands in an earlier row; None is no id."""
        first: dict[Hashable, int] = {}
        for number, identifier in enumerate(identifiers, start=1):
            if identifier is not None and first.setdefault(identifier, number) != number:
                self.add(
                    number, "id", f"must stand once, {shown(identifier)} is in row {first[identifier]} too"
                )

    def stop_if_any(self) -> None:
        if self._count > len(self._found):
            rest = f"has {self._count - len(self._found):,} more problems, {self._count:,} in all"
            raise DataError(*self._found, Problem(self._path.name, rest))
        if self._found:
            raise DataError(*self._found)


def _parsed(path: Path, parse: Callable[[Mapping[str, Any]], T], columns: Sequence[str] = ()) -> list[T]:
    """Every row of a file through `parse`; errors as `_each_parsed`."""
    return list(_each_parsed(path, parse, columns))


def _each_parsed(
    path: Path, parse: Callable[[Mapping[str, Any]], T], columns: Sequence[str] = ()
) -> Iterator[T]:
    """The rows of a file through `parse`, one after the other.

    Raises:
        DataError: at the end: the problems of all rows, or the file has none.
    """
    problems = _Problems(path)
    number = 0
    for number, values in enumerate(read_rows(path, columns), start=1):
        if isinstance(values, str):
            problems.add(number, None, values)
            continue
        try:
            yield parse(values)
        except ColumnError as error:
            problems.add(number, error.column, str(error))
    problems.stop_if_any()
    if not number:
        raise DataError(Problem(path.name, "must hold at least one row, is empty"))


def _sentences(path: Path) -> tuple[Sentence, ...]:
    sentences = _parsed(path, lambda values: Sentence(Row(values).text("id"), Row(values).text("sentence")))
    problems = _Problems(path)
    problems.of_repeats(sentence.id for sentence in sentences)
    problems.stop_if_any()
    return tuple(sentences)


def _check_choices(problems: _Problems, examples: Sequence[Example]) -> None:
    """All rows of multiple choice have as many choices as the first: a batch is [B, C, T]."""
    for number, example in enumerate(examples, start=1):
        if isinstance(example, ChoiceExample) and isinstance(examples[0], ChoiceExample):
            count, must = len(example.pairs), len(examples[0].pairs)
            if count != must:
                problems.add(number, None, f"must have {must} choices, as the first row, has {count}")
