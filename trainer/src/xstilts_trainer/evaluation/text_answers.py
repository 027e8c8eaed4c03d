"""What a text-to-text model answers to features: labels and choices by their probabilities, all else generated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from xstilts.catalogue.texts import text_format
from xstilts.stage import Hyperparameters
from xstilts.task import Task, TaskType
from xstilts_trainer.data.batches import Batch, collate
from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.pieces import PieceIds
from xstilts_trainer.data.places import to_device
from xstilts_trainer.data.span import SpanPrediction
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.data.text_targets import MentionTargets, TagTargets, choice_targets, label_targets
from xstilts_trainer.data.texts import ChoicesFeature, WordsFeature
from xstilts_trainer.evaluation.generate import FreeChoice, TagChoice, generate
from xstilts_trainer.evaluation.inference import Output, ask_in_batches
from xstilts_trainer.models.text_to_text import TextToText

MENTION_PIECES = 2  # at most so many generated for each piece of the sentence


@dataclass(frozen=True)
class Answer:
    """An answer from one window: its text, its log-probability, and that of none."""

    text: str
    log_probability: float
    null: float


class TextInference:
    """Asks a text-to-text model, which is in evaluation mode."""

    def __init__(
        self,
        model: TextToText,
        pieces: TextPieces,
        hyperparameters: Hyperparameters,
        on_batch: Callable[[int], None],
    ) -> None:
        """Set up.

        Args:
            model: in evaluation mode.
            pieces: of its tokenizer.
            hyperparameters: the batch size, and the limit of an answer's pieces.
            on_batch: called after each batch with the number of its features.
        """
        self._model = model
        self._pieces = pieces
        self._recipe = hyperparameters
        self._on_batch = on_batch

    def labels(self, head: str) -> tuple[str, ...]:
        """The labels of a task that the model was trained on."""
        return self._model.tasks[head].labels

    def run(self, head: str, type_: TaskType, features: Sequence[Feature]) -> list[Output]:
        """What is said of each feature, in the features' order.

        Returns:
            One of each feature: log-probabilities [L] of the labels or [C] of the choices, the numbers of the words' tags
            [W], or an `Answer`.
        """
        asked = self._asked(self._model.tasks[head], type_, features)

        def ask(batch: Sequence[Feature]) -> list[Output]:
            return asked(to_device(collate(batch, self._pieces)), batch)

        return ask_in_batches(ask, features, self._recipe, head, self._on_batch)

    def answers(
        self, questions: Sequence[SpanExample], features: Sequence[Feature], outputs: Sequence[Output]
    ) -> dict[str, SpanPrediction]:
        """The most probable answer of each question over its windows, by its id.

        None outweighs it by its log-probability in the window where that is the lowest, as in `span.predict_answers`.
        """
        best: dict[int, Answer] = {}
        null: dict[int, float] = {}
        for feature, answer in zip(features, outputs, strict=True):
            null[feature.example] = min(null.get(feature.example, 0.0), answer.null)
            known = best.get(feature.example)
            if known is None or answer.log_probability > known.log_probability:
                best[feature.example] = answer
        return {
            question.id: SpanPrediction(best[index].text, null[index] - best[index].log_probability)
            for index, question in enumerate(questions)
        }

    def _asked(
        self, task: Task, type_: TaskType, features: Sequence[Feature]
    ) -> Callable[[Batch, Sequence[Feature]], list[Output]]:
        match type_:
            case TaskType.CLASSIFICATION:
                return partial(self._scores, label_targets(self._pieces, task))
            case TaskType.MULTIPLE_CHOICE:
                most = max(feature.choices for feature in features if isinstance(feature, ChoicesFeature))
                return partial(self._scores, choice_targets(self._pieces, most))
            case TaskType.TAGGING if text_format(task).mentions:
                return partial(self._mentions, MentionTargets(self._pieces, task))
            case TaskType.TAGGING:
                return partial(self._tags, TagTargets(self._pieces, task))
            case TaskType.SPAN_QA:
                return self._spans
            case TaskType.RETRIEVAL | TaskType.MINING:
                raise ValueError(f"{task.name}: {type_} asks nothing")

    def _scores(self, targets: Sequence[PieceIds], batch: Batch, features: Sequence[Feature]) -> list[Output]:
        device = batch["input_ids"].device
        on_device = [torch.from_numpy(target.astype(np.int64)).to(device) for target in targets]
        scores = self._model.score(batch, on_device).cpu().numpy()
        return [
            of_feature[: feature.choices] if isinstance(feature, ChoicesFeature) else of_feature
            for of_feature, feature in zip(scores, features, strict=True)
        ]

    def _tags(self, targets: TagTargets, batch: Batch, features: Sequence[Feature]) -> list[Output]:
        readers = [targets.reader(len(feature.words)) for feature in _words(features)]
        generate(self._model, batch, TagChoice(readers, self._pieces.end_id), self._pieces.end_id)
        return [np.array(reader.tags) for reader in readers]

    def _mentions(self, targets: MentionTargets, batch: Batch, features: Sequence[Feature]) -> list[Output]:
        limit = MENTION_PIECES * batch["input_ids"].shape[-1]
        said = generate(self._model, batch, self._free(limit, batch, may_be_empty=True), self._pieces.end_id)
        return [
            np.array(targets.read(pieces, feature.words))
            for pieces, feature in zip(said.pieces, _words(features), strict=True)
        ]

    def _spans(self, batch: Batch, _features: Sequence[Feature]) -> list[Output]:
        choose = self._free(self._recipe.max_answer_length, batch, may_be_empty=False)
        said = generate(self._model, batch, choose, self._pieces.end_id)
        null = said.first[:, self._pieces.sentinels[0]].tolist()
        scores = said.log_probability.tolist()
        return [
            Answer(self._pieces.text(pieces), *of_row)
            for pieces, *of_row in zip(said.pieces, scores, null, strict=True)
        ]

    def _free(self, limit: int, batch: Batch, *, may_be_empty: bool) -> FreeChoice:
        """Any pieces that stand in texts: no sentinels, no padding, nothing behind the tokenizer's vocabulary."""
        beyond = range(len(self._model.tokenizer), self._model.config.vocab_size)
        forbidden = torch.tensor(
            [*self._pieces.sentinels, self._pieces.pad_id, *beyond], device=batch["input_ids"].device
        )
        return FreeChoice(forbidden, self._pieces.end_id, limit, may_be_empty=may_be_empty)


def _words(features: Sequence[Feature]) -> list[WordsFeature]:
    return [feature for feature in features if isinstance(feature, WordsFeature)]
