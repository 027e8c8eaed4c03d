"""A model with heads over features: what it says of each, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xstilts.stage import Hyperparameters
from xstilts.task import TaskType
from xstilts_trainer.data.batches import Batch, collate
from xstilts_trainer.data.examples import SpanExample
from xstilts_trainer.data.features import Feature
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.data.places import to_device
from xstilts_trainer.data.span import SpanFeature, SpanPrediction, predict_answers
from xstilts_trainer.evaluation.inference import Output, ask_in_batches
from xstilts_trainer.models.encoder_model import EncoderModel


@dataclass(frozen=True)
class Forward:
    """How features are run through a model.

    Attributes:
        model: in evaluation mode.
        pieces: pads the batches.
        hyperparameters: the batch size, and how answers are read.
        prepare: the last change to a batch: token ids renumbered.
        on_batch: called after each batch with the number of its features.
    """

    model: EncoderModel
    pieces: PieceTokenizer
    hyperparameters: Hyperparameters
    prepare: Callable[[Batch], Batch]
    on_batch: Callable[[int], None]

    def labels(self, head: str) -> tuple[str, ...]:
        """The labels of a head, in the order of its logits."""
        return self.model.heads[head].spec.labels

    def run(self, head: str, type_: TaskType, features: Sequence[Feature]) -> list[Output]:
        """What the head says of each feature, in the features' order.

        Returns:
            One array a feature: logits [L] (classification), [C] (multiple choice) or [T, 2] (span QA: start, end),
            and for tagging the number of the best tag [T].
        """

        def ask(batch: Sequence[Feature]) -> list[Output]:
            logits = self.model.logits(head, to_device(self.prepare(collate(batch, self.pieces))))
            said = logits.argmax(-1) if type_ is TaskType.TAGGING else logits
            return list(said.cpu().numpy())

        return ask_in_batches(ask, features, self.hyperparameters, head, self.on_batch)

    def answers(
        self, questions: Sequence[SpanExample], features: Sequence[Feature], outputs: Sequence[Output]
    ) -> dict[str, SpanPrediction]:
        """The best answer of each question, by its id (see `span.predict_answers`)."""
        return predict_answers(
            questions,
            [feature for feature in features if isinstance(feature, SpanFeature)],
            outputs,
            n_best=self.hyperparameters.n_best,
            max_answer_length=self.hyperparameters.max_answer_length,
        )
