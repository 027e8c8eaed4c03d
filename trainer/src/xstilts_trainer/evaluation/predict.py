"""Predictions of a task in all its languages, as its metric takes them and as a submission shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean
from typing import Any, TypeVar

from xstilts.errors import DataError, Problem
from xstilts.scoring import Guess, main_score, score
from xstilts.task import Metric, Task, TaskType
from xstilts_trainer.data.examples import ChoiceExample, Example, PairExample, SpanExample, TagExample
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.tagging import TagFeature, word_tags
from xstilts_trainer.evaluation.chance import tag_chance, uniform_chance
from xstilts_trainer.evaluation.inference import Inference, Output
from xstilts_trainer.evaluation.test_sets import TestSet

T = TypeVar("T")


@dataclass(frozen=True)
class Predictions:
    """Of one task in one language.

    `gold` and `predicted` are as `xstilts.scoring.score` takes them, `submitted` as `write_predictions` does; `chance` is
    what guessing gets, in percent, where that is defined. `clusters` are of items that are right or wrong: those with
    equal numbers have their first text in common, and are no independent observations (XNLI has three a premise). They
    are numbered in each language for itself, or where they are `shared` in all languages of the task together.
    """

    gold: Any
    predicted: Any
    submitted: Any
    chance: float | None = None
    clusters: tuple[int, ...] | None = None
    shared: bool = False

    def scores(self, metric: Metric, language: str) -> dict[str, float]:
        """The metric's numbers, in percent."""
        return score(metric, self.gold, self.predicted, language)


def predict(inference: Inference, head: str, sets: Sequence[TestSet]) -> dict[str, Predictions]:
    """Predict a task's test sets, all languages in one pass; by language.

    Raises:
        DataError: the head's labels are not the task's.
    """
    task = sets[0].task
    names = _checked_labels(inference, head, task)
    features = [feature for test_set in sets for feature in test_set.encoded.features]
    outputs = inference.run(head, task.type, features)
    ends = list(accumulate((len(test_set.encoded.features) for test_set in sets), initial=0))
    return {
        test_set.language: _of_language(inference, test_set, outputs[start:end], names)
        for test_set, (start, end) in zip(sets, pairwise(ends), strict=True)
    }


def mean_score(predictions: Mapping[str, Predictions], metric: Metric) -> float:
    """The main score of a task, the mean over its languages."""
    scores = [
        main_score(metric, of_language.scores(metric, language))
        for language, of_language in predictions.items()
    ]
    return fmean(scores)


def _checked_labels(inference: Inference, head: str, task: Task) -> tuple[str, ...]:
    names = inference.labels(head)
    if sorted(names) != sorted(task.labels):
        raise DataError(
            Problem(
                f"{task.name}: labels",
                f"must be those of the head {head}, {', '.join(names)}; were {', '.join(task.labels)}",
            )
        )
    return names


def _of_language(
    inference: Inference, test_set: TestSet, outputs: Sequence[Output], names: Sequence[str]
) -> Predictions:
    task, examples = test_set.task, test_set.examples
    match task.type:
        case TaskType.CLASSIFICATION:
            labels = [names[int(output.argmax())] for output in outputs]
            numbers = [task.labels.index(label) for label in labels]
            gold_numbers = [example.label for example in _all(PairExample, examples)]
            clusters = _clusters([example.text for example in _all(PairExample, examples)])
            return Predictions(gold_numbers, numbers, labels, uniform_chance(len(names)), clusters)
        case TaskType.MULTIPLE_CHOICE:
            choices = [int(output.argmax()) for output in outputs]
            right = [example.label for example in _all(ChoiceExample, examples)]
            clusters = _clusters([example.pairs[0][0] for example in _all(ChoiceExample, examples)])
            return Predictions(right, choices, choices, uniform_chance(len(outputs[0])), clusters)
        case TaskType.TAGGING:
            windows = _all(TagFeature, test_set.encoded.features)
            tags = [[names[tag] for tag in tags] for tags in word_tags(windows, outputs, len(examples))]
            gold = [[task.labels[tag] for tag in example.tags] for example in _all(TagExample, examples)]
            return Predictions(gold, tags, tags, tag_chance(task.metric, gold))
        case TaskType.SPAN_QA:
            return _answers(inference, test_set, outputs)
        case TaskType.RETRIEVAL | TaskType.MINING:
            raise ValueError(f"{task.name}: {task.type} has no head")


def _answers(inference: Inference, test_set: TestSet, outputs: Sequence[Output]) -> Predictions:
    """Answers to SQuAD 2's questions are submitted unless the null answer outweighs them."""
    questions = _all(SpanExample, test_set.examples)
    found = inference.answers(questions, test_set.encoded.features, outputs)
    gold = {question.id: list(question.answers) for question in questions}
    texts = {identifier: answer.text for identifier, answer in found.items()}
    if test_set.task.metric is not Metric.SQUAD_V2:
        return Predictions(gold, texts, texts)
    guesses = {
        identifier: Guess(answer.text, answer.null_score_difference) for identifier, answer in found.items()
    }
    answered = {
        identifier: "" if guess.null_score > 0 else guess.text for identifier, guess in guesses.items()
    }
    return Predictions(gold, guesses, answered)


def _clusters(texts: Sequence[str]) -> tuple[int, ...]:
    """Equal texts get equal numbers, from 0 in the order in which they come."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(text, len(numbers)) for text in texts)


def _all(kind: type[T], items: Sequence[Example] | Sequence[Feature]) -> list[T]:
    return [item for item in items if isinstance(item, kind)]
