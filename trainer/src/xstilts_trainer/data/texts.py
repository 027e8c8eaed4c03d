"""Text to text: which features the examples of a task become, in the formats of `xstilts.catalogue.texts`.

A feature's input is the example as one text; its `labels`, where it is trained on, the pieces of the answer. Texts are
cut as in `features` (the longest first), a context and a sentence are read in windows, as in `span` and `tagging`. A
window is trained on only if it holds the answer, as T5's inputs do; a question that has none is trained on in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.catalogue.texts import choice_field, text_format
from xstilts.errors import Problem, SpecError
from xstilts.stage import Hyperparameters
from xstilts.task import Task
from xstilts_trainer.data.encode import all_of
from xstilts_trainer.data.examples import ChoiceExample, Example, PairExample, SpanExample, TagExample
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.pieces import ModelInput, PieceIds
from xstilts_trainer.data.span import answer_pieces, context_windows
from xstilts_trainer.data.tagging import TagFeature, word_windows
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.data.text_targets import MentionTargets, TagTargets, choice_targets, label_targets


@dataclass(frozen=True, slots=True)
class ChoicesFeature(Feature):
    """A question with so many choices."""

    choices: int


@dataclass(frozen=True, slots=True)
class WordsFeature(TagFeature):
    """A window of a sentence, and the pieces of its words; `heads` are the numbers of the words."""

    words: tuple[PieceIds, ...]


class TextFeatures:
    """Makes the features of a text-to-text model."""

    def __init__(self, pieces: TextPieces, hyperparameters: Hyperparameters) -> None:
        self.pieces = pieces
        self._recipe = hyperparameters

    def training(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features that are trained on, with the answers as `labels`.

        Raises:
            DataError: labels that the tokenizer does not tell apart.
            SpecError: the recipe's length leaves no room to the texts beside the format's own pieces.
            TypeError: retrieval examples, which ask nothing, or mixed types.
        """
        return self._encoded(task, examples, answered=True)

    def test(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features of which answers are asked; errors as `training`."""
        return self._encoded(task, examples, answered=False)

    def _encoded(self, task: Task, examples: Sequence[Example], *, answered: bool) -> Encoded[Feature]:
        match examples[0]:
            case PairExample():
                return self._pairs(task, all_of(PairExample, examples), answered=answered)
            case ChoiceExample():
                return self._choices(task, all_of(ChoiceExample, examples), answered=answered)
            case TagExample():
                return self._tags(task, all_of(TagExample, examples), answered=answered)
            case SpanExample():
                return self._spans(task, all_of(SpanExample, examples), answered=answered)
            case other:
                raise TypeError(f"{type(other).__name__} asks nothing")

    def _pairs(self, task: Task, examples: Sequence[PairExample], *, answered: bool) -> Encoded[Feature]:
        fields = text_format(task).fields
        targets = label_targets(self.pieces, task)
        texts = [
            (example.text,) if example.text_pair is None else (example.text, example.text_pair)
            for example in examples
        ]
        answers = [targets[example.label] for example in examples] if answered else None
        return self._whole(task, texts, fields, answers)

    def _choices(self, task: Task, examples: Sequence[ChoiceExample], *, answered: bool) -> Encoded[Feature]:
        choices = len(examples[0].pairs)
        fields = (*text_format(task).fields, *map(choice_field, range(choices)))
        targets = choice_targets(self.pieces, choices)
        texts = [(example.pairs[0][0], *(choice for _, choice in example.pairs)) for example in examples]
        answers = [targets[example.label] for example in examples] if answered else None
        encoded = self._whole(task, texts, fields, answers)
        features = [
            ChoicesFeature(feature.example, feature.inputs, feature.labels, choices)
            for feature in encoded.features
        ]
        return Encoded(features, encoded.cut)

    def _whole(
        self,
        task: Task,
        texts: Sequence[Sequence[str]],
        fields: Sequence[str],
        answers: Sequence[PieceIds] | None,
    ) -> Encoded[Feature]:
        """One feature an example, of its texts behind their fields; the longest texts are cut where all do not fit."""
        names = list(self.pieces.ids(fields))
        encoded = self.pieces.ids([text for of_example in texts for text in of_example])
        features, cut = [], 0
        for index, of_example in enumerate(texts):
            parts = [next(encoded) for _ in of_example]
            room = self._room(task, names[: len(parts)], len(parts))
            kept = cut_longest([len(part) for part in parts], room)
            cut += sum(kept) < sum(map(len, parts))
            source = [
                piece
                for name, part, count in zip(names, parts, kept, strict=False)
                for piece in (name, part[:count])
            ]
            answer = None if answers is None else answers[index]
            features.append(Feature(index, (self._input(source),), _labels(answer)))
        return Encoded(features, cut)

    def _tags(self, task: Task, examples: Sequence[TagExample], *, answered: bool) -> Encoded[Feature]:
        format_ = text_format(task)
        prefix = next(self.pieces.ids(format_.fields))
        targets = MentionTargets(self.pieces, task) if format_.mentions else TagTargets(self.pieces, task)
        marked = isinstance(targets, TagTargets)
        room = self._room(task, [prefix], 1 + marked)
        most_words = len(self.pieces.sentinels) if marked else None
        features, cut = [], 0
        sentences = self.pieces.words([example.tokens for example in examples])
        for index, (example, pieces) in enumerate(zip(examples, sentences, strict=True)):
            cut += any(len(word) > room - marked for word in pieces)
            words = tuple(np.array(word[: room - marked], dtype=np.int32) for word in pieces)
            for start, end in word_windows([len(word) + marked for word in words], room, most_words):
                inside, tags = words[start:end], example.tags[start:end]
                source = [
                    part
                    for sentinel, word in zip(self.pieces.sentinels, inside, strict=False)
                    for part in ([sentinel], word)
                ]
                target = (
                    targets.target(tags) if isinstance(targets, TagTargets) else targets.target(inside, tags)
                )
                features.append(
                    WordsFeature(
                        index,
                        (self._input([prefix, *(source if marked else inside)]),),
                        _labels(target if answered else None),
                        heads=np.arange(end - start, dtype=np.int32),
                        words=inside,
                    )
                )
        return Encoded(features, cut)

    def _spans(self, task: Task, examples: Sequence[SpanExample], *, answered: bool) -> Encoded[Feature]:
        before_question, before_context = self.pieces.ids(text_format(task).fields)
        room = self._room(task, [before_question, before_context], 2)
        query_limit = min(self._recipe.max_query_length, room // 2)
        contexts = list(dict.fromkeys(example.context for example in examples))
        encoded = dict(zip(contexts, self.pieces.ids_and_offsets(contexts), strict=True))
        answers = self.pieces.ids([example.answers[0] for example in examples if example.answers])
        questions = self.pieces.ids([example.question for example in examples])
        features, cut = [], 0
        for index, (example, whole_question) in enumerate(zip(examples, questions, strict=True)):
            question = whole_question[:query_limit]
            cut += len(question) < len(whole_question)
            ids, offsets = encoded[example.context]
            windows = list(context_windows(len(ids), room - len(question), self._recipe.doc_stride))
            target = None
            if answered:
                answer = (
                    next(answers)[: self._recipe.max_answer_length]
                    if example.answers
                    else self.pieces.sentinels[:1]
                )
                target = self.pieces.ended(answer)
                windows = list(_with_answer(windows, answer_pieces(example, offsets)))
            for start, end in windows:
                source = self._input([before_question, question, before_context, ids[start:end]])
                features.append(Feature(index, (source,), _labels(target)))
        return Encoded(features, cut)

    def _room(self, task: Task, fields: Sequence[PieceIds], least: int) -> int:
        """How many pieces of an input are left beside those of the format's fields and the end: at least so many."""
        own = sum(map(len, fields)) + 1
        if self._recipe.max_length < own + least:
            sentence = (
                f"must be at least {own + least} for {task.name}, was {self._recipe.max_length}: {own} pieces of every input are"
                " the format's own"
            )
            raise SpecError(Problem("spec.hyperparameters.maxLength", sentence))
        return self._recipe.max_length - own

    def _input(self, parts: Sequence[Sequence[int] | PieceIds]) -> ModelInput:
        return ModelInput(self.pieces.ended(np.concatenate(parts)), None)


def cut_longest(lengths: Sequence[int], room: int) -> list[int]:
    """How many pieces of each text are kept in so much room: the longest ones are cut, to one length.

    A text that takes no more than its even part is kept whole; odd pieces go to the longest.
    """
    kept = [0] * len(lengths)
    by_length = sorted(range(len(lengths)), key=lambda text: lengths[text])
    for done, text in enumerate(by_length):
        kept[text] = min(lengths[text], room // (len(lengths) - done))
        room -= kept[text]
    return kept


def _with_answer(
    windows: Sequence[tuple[int, int]], answer: tuple[int, int] | None
) -> Iterator[tuple[int, int]]:
    """The windows that hold the whole answer, else the first that holds its beginning; all where there is no answer."""
    if answer is None:
        yield from windows
        return
    first, last = answer
    whole = [(start, end) for start, end in windows if start <= first and last < end]
    yield from whole or [next((start, end) for start, end in windows if start <= first < end)]


def _labels(target: PieceIds | None) -> dict[str, int | PieceIds]:
    return {} if target is None else {"labels": target}
