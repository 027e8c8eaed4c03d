"""Stages of an encoder with heads: a head a task, which begins anew; the encoder alone is carried over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from pathlib import Path

from torch import nn

from xstilts.errors import Problem, SpecError
from xstilts.stage import Hyperparameters, ModelUse, TrainSpec
from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.encode import HeadFeatures, encode
from xstilts_trainer.data.examples import Example
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.data.pieces import PieceTokenizer
from xstilts_trainer.environment import device
from xstilts_trainer.evaluation.forward import Forward
from xstilts_trainer.models.backbone import load_backbone
from xstilts_trainer.models.encoder_model import EncoderModel
from xstilts_trainer.models.folders import encoder_folder
from xstilts_trainer.models.heads import HeadSpec, make_head
from xstilts_trainer.models.lengths import check_length
from xstilts_trainer.models.lora import Adapters
from xstilts_trainer.models.masked_lm import load_masked_lm
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.stages.sources import Sources
from xstilts_trainer.training.embedding_rows import EmbeddingRows
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.loop import AnyFeed
from xstilts_trainer.training.masking import Masking
from xstilts_trainer.training.task_data import load_training_sets, token_ids
from xstilts_trainer.training.text_feed import (
    InterleavedFeed,
    TasksAndText,
    TextFeed,
    load_text,
    text_steps,
)


class HeadTraining:
    """See `forms.Training`."""

    def __init__(self, spec: TrainSpec, sources: Sources) -> None:
        """Load the encoder and the data, and make the heads.

        Raises:
            UserError: the spec, the model or the data is wrong.
        """
        _check_objective(spec)
        self._spec = spec
        self._sources = sources
        backbone = load_backbone(
            encoder_folder(sources.model), spec.model.family, pooling=spec.model.pooling, seed=spec.seed
        )
        check_length(backbone.config, spec.hyperparameters)
        self.features = HeadFeatures(PieceTokenizer(backbone.tokenizer), spec.hyperparameters)
        self.sets = load_training_sets(spec, sources.folders, self.features)
        heads = {
            name: make_head(HeadSpec.of(of_task.task, spec.model.pooling), backbone.config, spec.seed)
            for name, of_task in sorted(self.sets.items())
        }
        self._model = EncoderModel(backbone, heads)
        if spec.hyperparameters.dropout is not None:
            self._model.set_dropout(float(spec.hyperparameters.dropout))
        self._adapters = Adapters(backbone.encoder, spec.lora, spec.seed) if spec.lora else None
        self._rows = self._cut_embedding()

    @property
    def embedding_rows(self) -> int | None:
        """How many rows of the embedding table are trained; None where all are."""
        return len(self._rows) if self._rows else None

    def prepare(self, batch: Batch) -> Batch:
        """The batch with token ids as rows of the table."""
        return self._rows.renumber(batch) if self._rows else batch

    def with_text(self, tasks: Feed) -> tuple[TaskModel, AnyFeed]:
        """The model and its feed, with masked text among the tasks' batches where pretraining is continued."""
        pretraining = self._spec.continued_pretraining
        if pretraining is None:
            return self._model, tasks
        recipe = self._spec.hyperparameters
        steps = text_steps(tasks.steps_per_epoch, Decimal(pretraining.ratio))
        backbone = self._model.backbone
        text = TextFeed(
            pretraining,
            load_text(pretraining, self._sources.folders, self.features.pieces, recipe.max_length),
            self.features.pieces,
            Masking(
                float(pretraining.masked),
                backbone.tokenizer.mask_token_id,
                backbone.tokenizer.all_special_ids,
                backbone.config.vocab_size,
            ),
            batch_size=recipe.batch_size,
            batches=steps * recipe.epochs,
            seed=self._spec.seed,
            prepare=self.prepare,
        )
        head = load_masked_lm(backbone, encoder_folder(self._sources.model), self._spec.seed)
        return TasksAndText(self._model, head), InterleavedFeed(tasks, text, steps, self._spec.seed)

    def inference(self, on_batch: Callable[[int], None]) -> Forward:
        """The model with its heads as they are."""
        return Forward(self._model, self.features.pieces, self._spec.hyperparameters, self.prepare, on_batch)

    def save(self, folder: Path, decays: Sequence[float]) -> None:
        """Write `encoder/`, `heads/` and `heads.json`."""
        if self._rows:
            self._rows.restore(decays)
        if self._adapters:
            self._adapters.merge()
        self._model.save(folder)

    def _cut_embedding(self) -> EmbeddingRows | None:
        """Cut the embedding table where that changes no bit and saves time.

        AdamW treats each row alone, and Adafactor does not; a language-model head gives every row a gradient. A table that is
        frozen beside adapters costs no time.
        """
        table = self._model.encoder.get_input_embeddings()
        spec = self._spec
        if spec.lora or spec.continued_pretraining or device().type != "cpu":
            return None
        if spec.hyperparameters.optimizer != "AdamW":
            return None
        if not isinstance(table, nn.Embedding) or not EmbeddingRows.is_exact(table):
            return None
        return EmbeddingRows(self._model, table, token_ids(self.sets.values()))


class TrainedHeads:
    """See `forms.Trained`."""

    def __init__(self, use: ModelUse, folder: Path, recipe: Hyperparameters) -> None:
        """Load an encoder and its heads.

        Raises:
            UserError: the folder holds none, or inputs can be longer than it takes.
        """
        self._model = EncoderModel.load(folder, use.family).to(device()).eval()
        check_length(self._model.backbone.config, recipe)
        self._recipe = recipe
        self._pieces = PieceTokenizer(self._model.backbone.tokenizer)

    @property
    def heads(self) -> Collection[str]:
        """The heads' tasks."""
        return self._model.heads

    def encode(self, head: str, examples: Sequence[Example]) -> Encoded[Feature]:  # noqa: ARG002 - all heads read alike
        """The features of examples."""
        return encode(self._pieces, examples, self._recipe)

    def inference(self, on_batch: Callable[[int], None]) -> Forward:
        """The model with its heads."""
        return Forward(self._model, self._pieces, self._recipe, lambda batch: batch, on_batch)


def _check_objective(spec: TrainSpec) -> None:
    """Said before anything is loaded."""
    pretraining = spec.continued_pretraining
    if pretraining is not None and pretraining.objective != "MLM":
        raise SpecError(
            Problem(
                "spec.continuedPretraining.objective",
                f"must be MLM, which is for the form EncoderHead, was {pretraining.objective}",
            )
        )
