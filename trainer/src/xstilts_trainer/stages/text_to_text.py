"""Stages of a model that answers in text: every weight is trained (or adapters to them), and carried over from phase to phase."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from pathlib import Path

from xstilts.errors import Problem, SpecError
from xstilts.stage import Hyperparameters, ModelUse, TrainSpec
from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.examples import Example
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.text_pieces import TextPieces
from xstilts_trainer.data.texts import TextFeatures
from xstilts_trainer.environment import device
from xstilts_trainer.evaluation.text_answers import TextInference
from xstilts_trainer.models.folders import encoder_folder
from xstilts_trainer.models.lengths import check_length
from xstilts_trainer.models.lora import Adapters
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.models.text_to_text import TextToText
from xstilts_trainer.stages.sources import Sources
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.loop import AnyFeed
from xstilts_trainer.training.span_corruption import SpanCorruption
from xstilts_trainer.training.task_data import load_training_sets
from xstilts_trainer.training.text_feed import InterleavedFeed, TextFeed, load_text, text_steps


class TextTraining:
    """See `forms.Training`."""

    def __init__(self, spec: TrainSpec, sources: Sources) -> None:
        """Load the model and the data.

        Raises:
            UserError: the spec, the model or the data is wrong.
        """
        _check_objective(spec)
        self._spec = spec
        self._sources = sources
        self._model = TextToText.load_pretrained(encoder_folder(sources.model), spec.model.family)
        check_length(self._model.config, spec.hyperparameters)
        self.features = TextFeatures(TextPieces(self._model.tokenizer), spec.hyperparameters)
        self.sets = load_training_sets(spec, sources.folders, self.features)
        self._model.tasks = {name: of_task.task for name, of_task in self.sets.items()}
        if spec.hyperparameters.dropout is not None:
            self._model.set_dropout(float(spec.hyperparameters.dropout))
        self._adapters = Adapters(self._model.seq2seq, spec.lora, spec.seed) if spec.lora else None

    @property
    def embedding_rows(self) -> None:
        """All rows are trained: the language-model head reads every one of them."""
        return

    def prepare(self, batch: Batch) -> Batch:
        """The batch as it is."""
        return batch

    def with_text(self, tasks: Feed) -> tuple[TaskModel, AnyFeed]:
        """The model and its feed, with corrupted text among the tasks' batches where pretraining is continued.

        Raises:
            SpecError: texts of the recipe's length have more spans than there are sentinels.
        """
        pretraining = self._spec.continued_pretraining
        if pretraining is None:
            return self._model, tasks
        recipe, pieces = self._spec.hyperparameters, self.features.pieces
        corruption = SpanCorruption(float(pretraining.masked), pieces)
        spans = corruption.spans(recipe.max_length - 1)
        if spans > len(pieces.sentinels):
            raise SpecError(
                Problem(
                    "spec.hyperparameters.maxLength",
                    f"must be so low that a text has at most {len(pieces.sentinels)} spans, the tokenizer's sentinels, was"
                    f" {recipe.max_length}, with {spans} spans",
                )
            )
        steps = text_steps(tasks.steps_per_epoch, Decimal(pretraining.ratio))
        text = TextFeed(
            pretraining,
            load_text(pretraining, self._sources.folders, pieces, recipe.max_length),
            pieces,
            corruption,
            batch_size=recipe.batch_size,
            batches=steps * recipe.epochs,
            seed=self._spec.seed,
            prepare=self.prepare,
        )
        return self._model, InterleavedFeed(tasks, text, steps, self._spec.seed)

    def inference(self, on_batch: Callable[[int], None]) -> TextInference:
        """The model as it is."""
        return TextInference(self._model, self.features.pieces, self._spec.hyperparameters, on_batch)

    def save(self, folder: Path, decays: Sequence[float]) -> None:  # noqa: ARG002 - every row took every step
        """Write `encoder/` and `tasks.json`."""
        if self._adapters:
            self._adapters.merge()
        self._model.save(folder)


class TrainedTexts:
    """See `forms.Trained`."""

    def __init__(self, use: ModelUse, folder: Path, recipe: Hyperparameters) -> None:
        """Load a model that was trained on tasks.

        Raises:
            UserError: the folder holds none, or inputs can be longer than it takes.
        """
        self._model = TextToText.load(folder, use.family).to(device()).eval()
        check_length(self._model.config, recipe)
        self._recipe = recipe
        self._features = TextFeatures(TextPieces(self._model.tokenizer), recipe)

    @property
    def heads(self) -> Collection[str]:
        """The tasks that it was trained on."""
        return self._model.tasks

    def encode(self, head: str, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features of examples in the text format of the task that was trained."""
        return self._features.test(self._model.tasks[head], examples)

    def inference(self, on_batch: Callable[[int], None]) -> TextInference:
        """The model."""
        return TextInference(self._model, self._features.pieces, self._recipe, on_batch)


def _check_objective(spec: TrainSpec) -> None:
    """Said before anything is loaded."""
    pretraining = spec.continued_pretraining
    if pretraining is not None and pretraining.objective != "SpanCorruption":
        raise SpecError(
            Problem(
                "spec.continuedPretraining.objective",
                f"must be SpanCorruption, which is for the form TextToText, was {pretraining.objective}",
            )
        )
