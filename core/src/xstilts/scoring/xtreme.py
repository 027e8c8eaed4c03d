"""XTREME's nine tasks, and the scores of a whole submission: language, task, group, overall.

The semantics are those of google-research/xtreme, evaluate.py: a task's average is the mean over its languages, English
included; its `avg_metric` is F1, accuracy, or for QA the mean of exact match and F1; a group's score is the mean of its
tasks and the overall score that of all nine (Hu et al. 2020). Files that do not fit together are errors here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from xstilts.catalogue import CATALOGUE, Entry
from xstilts.errors import DataError, Problem
from xstilts.scoring.metrics import MAIN, score
from xstilts.scoring.submission import Layout, read_gold, read_lines, read_predictions, submission_path
from xstilts.task import Task


@dataclass(frozen=True)
class Group:
    """A group of XTREME's tasks, as its leaderboard has them."""

    title: str
    tasks: tuple[str, ...]


GROUPS: Mapping[str, Group] = {
    "classification": Group("sentence-pair classification", ("pawsx", "xnli")),
    "tagging": Group("structured prediction", ("udpos", "panx")),
    "qa": Group("question answering", ("xquad", "mlqa", "tydiqa")),
    "retrieval": Group("retrieval", ("bucc2018", "tatoeba")),
}

TASKS: Mapping[str, Entry] = {name: CATALOGUE[name] for group in GROUPS.values() for name in group.tasks}


@dataclass(frozen=True)
class XtremeScores:
    """All in percent.

    `tasks` is task -> metric -> language -> score; `missing` the languages of XTREME that a scored task lacks: its
    averages are over the others, and it enters no group and no overall score. `notes` are sentences for people.
    """

    tasks: dict[str, dict[str, dict[str, float]]]
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def average(self, task: str, metric: str) -> float:
        """The mean over the task's languages."""
        return fmean(self.tasks[task][metric].values())

    def main(self, task: str) -> float:
        """The task's one number, `avg_metric`."""
        return fmean(self.average(task, metric) for metric in MAIN[TASKS[task].task.metric])

    @property
    def groups(self) -> dict[str, float]:
        """The score of every group whose tasks are all there, in all their languages."""
        return {
            name: fmean(map(self.main, group.tasks))
            for name, group in GROUPS.items()
            if all(map(self._complete, group.tasks))
        }

    @property
    def overall(self) -> float | None:
        """The mean of the nine tasks, or None when one is not there in all its languages."""
        return fmean(map(self.main, TASKS)) if all(map(self._complete, TASKS)) else None

    def to_json(self) -> dict[str, Any]:
        """As XTREME's script writes them, under `tasks`; groups, overall score and what is missing beside."""
        return {
            "tasks": {
                task: {
                    **metrics,
                    **{f"avg_{metric}": self.average(task, metric) for metric in metrics},
                    "avg_metric": self.main(task),
                }
                for task, metrics in self.tasks.items()
            },
            "groups": self.groups,
            "overall": self.overall,
            "missing": {task: list(languages) for task, languages in self.missing.items()},
        }

    def _complete(self, task: str) -> bool:
        return task in self.tasks and task not in self.missing


def score_submission(predictions: Path, labels: Path) -> XtremeScores:
    """Score the tasks that have both a folder of predictions and one of labels.

    Raises:
        DataError: no such folders, no task, a prediction file missing beside its label file, or files that do not fit
            together; all problems at once, each naming file and line.
    """
    tasks: dict[str, dict[str, dict[str, float]]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    notes = list(_ignored(predictions, labels))
    problems: list[Problem] = []
    for name, entry in TASKS.items():
        if not ((predictions / name).is_dir() and (labels / name).is_dir()):
            continue
        metric = entry.task.metric
        languages = [code for code in entry.languages if submission_path(labels, name, code, metric).exists()]
        for language in languages:
            try:
                numbers, remarks = _score_language(entry.task, language, predictions, labels)
            except DataError as error:
                problems += error.problems
                continue
            notes += remarks
            for number, value in numbers.items():
                tasks.setdefault(name, {}).setdefault(number, {})[language] = value
        if absent := tuple(code for code in entry.languages if code not in languages):
            missing[name] = absent
            notes.append(f"{labels / name}: no labels for {', '.join(absent)}: the averages leave them out")
    if not tasks and not problems:
        problems.append(
            Problem(str(predictions), f"must hold a folder of {', '.join(TASKS)}, as {labels} must")
        )
    if problems:
        raise DataError(*problems)
    return XtremeScores(
        tasks, {name: absent for name, absent in missing.items() if name in tasks}, tuple(notes)
    )


def _ignored(predictions: Path, labels: Path) -> Iterable[str]:
    """What lies there and is not scored: XTREME's script passes over it too, without a word."""
    for folder, other in ((predictions, labels), (labels, predictions)):
        if not folder.is_dir():
            raise DataError(Problem(str(folder), "must be a folder, was not"))
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                continue
            if path.name not in TASKS:
                yield f"{path}: not one of XTREME's nine tasks, ignored"
            elif not (other / path.name).is_dir():
                yield f"{path}: not scored, for {other / path.name} is not there"


def _score_language(
    task: Task, language: str, predictions: Path, labels: Path
) -> tuple[dict[str, float], list[str]]:
    guess_path, gold_path = (
        submission_path(folder, task.name, language, task.metric) for folder in (predictions, labels)
    )
    if not guess_path.exists():
        raise DataError(Problem(str(guess_path), f"must be there, since {gold_path} is"))
    notes: list[str] = []
    gold = read_gold(gold_path, task.metric)
    if Layout.of(task.metric) in {Layout.LABELS, Layout.TAGS}:
        _check_lines(task, guess_path, gold_path)
    predicted = read_predictions(guess_path, task.metric)
    if not gold:
        raise DataError(Problem(str(gold_path), "must hold labels, was empty"))
    if Layout.of(task.metric) is Layout.ANSWERS:
        notes += _unanswered(guess_path, gold_path, gold, predicted)
    return score(task.metric, gold, predicted, language), notes


def _check_lines(task: Task, guess_path: Path, gold_path: Path) -> None:
    """Labels and predictions go together line by line, and hold only what the task knows.

    XTREME's script asks for equal numbers of sentences alone, and would score shifted tags.
    """
    guesses, golds = read_lines(guess_path), read_lines(gold_path)
    for path, lines in ((gold_path, golds), (guess_path, guesses)):
        for number, (line, gold) in enumerate(zip(lines, golds, strict=False), start=1):
            boundary = Layout.of(task.metric) is Layout.TAGS and not gold
            if not (line == "" if boundary else _known(task, line)):
                wanted = (
                    "an empty line between sentences"
                    if boundary
                    else f"one of {' '.join(task.labels)}"
                    if task.labels
                    else "an index, 0 or greater"
                )
                problem = f"must be {wanted}, was {line!r}" + (
                    "" if path == gold_path else f" (see {gold_path})"
                )
                raise DataError(Problem(f"{path}: line {number}", problem))
    if len(guesses) != len(golds):
        raise DataError(
            Problem(str(guess_path), f"must have {len(golds)} lines, as {gold_path} has, was {len(guesses)}")
        )


def _known(task: Task, line: str) -> bool:
    return line in task.labels if task.labels else line.isdecimal()


def _unanswered(
    guess_path: Path, gold_path: Path, gold: Mapping[str, Any], predicted: Mapping[str, str]
) -> Iterable[str]:
    """Say how many questions have no prediction (they score 0).

    Raises:
        DataError: there are predictions, and none is for a question of the label file.
    """
    missing = [identifier for identifier in gold if identifier not in predicted]
    if predicted and len(missing) == len(gold):
        raise DataError(
            Problem(
                f"{guess_path}: id {next(iter(predicted))}", f"must be a question of {gold_path}: no id is"
            )
        )
    if missing:
        yield f"{guess_path}: {len(missing)} of {len(gold)} questions have no prediction and score 0 (first: {missing[0]})"
