"""What of a stage hangs on the model's form, behind two protocols; here, and nowhere else, the form is chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from xstilts.stage import Form, Hyperparameters, ModelUse, TrainSpec
from xstilts_trainer.data.batches import Batch
from xstilts_trainer.data.encode import Features
from xstilts_trainer.data.examples import Example
from xstilts_trainer.data.features import Encoded, Feature
from xstilts_trainer.evaluation.inference import Inference
from xstilts_trainer.models.task_model import TaskModel
from xstilts_trainer.stages.encoder_head import HeadTraining, TrainedHeads
from xstilts_trainer.stages.sources import Sources
from xstilts_trainer.stages.text_to_text import TextTraining, TrainedTexts
from xstilts_trainer.training.feed import Feed
from xstilts_trainer.training.loop import AnyFeed
from xstilts_trainer.training.task_data import TrainingSet


class Training(Protocol):
    """A model before step 0, and the data that it trains on."""

    @property
    def features(self) -> Features:
        """Makes the features of examples."""

    @property
    def sets(self) -> Mapping[str, TrainingSet]:
        """The tasks, by name."""

    @property
    def embedding_rows(self) -> int | None:
        """How many rows of the embedding table are trained; None where all are."""

    def prepare(self, batch: Batch) -> Batch:
        """The last change to a batch: token ids renumbered."""

    def with_text(self, tasks: Feed) -> tuple[TaskModel, AnyFeed]:
        """What is trained and its feed, with text among the tasks' batches where pretraining is continued."""

    def inference(self, on_batch: Callable[[int], None]) -> Inference:
        """Predicts with the model as it is; `on_batch` is told of each batch."""

    def save(self, folder: Path, decays: Sequence[float]) -> None:
        """Write the model; `decays` are the factors of weight decay of the steps behind it."""


class Trained(Protocol):
    """A trained model that is evaluated."""

    @property
    def heads(self) -> Collection[str]:
        """The tasks that it answers."""

    def encode(self, head: str, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features of examples that are asked as that task is."""

    def inference(self, on_batch: Callable[[int], None]) -> Inference:
        """Predicts; `on_batch` is told of each batch."""


def open_training(spec: TrainSpec, sources: Sources) -> Training:
    """Load a model and all data of a training.

    Raises:
        UserError: the spec, the model or the data is wrong.
    """
    forms: dict[Form, Callable[[TrainSpec, Sources], Training]] = {
        Form.ENCODER_HEAD: HeadTraining,
        Form.TEXT_TO_TEXT: TextTraining,
    }
    return forms[spec.model.form](spec, sources)


def open_trained(use: ModelUse, folder: Path, recipe: Hyperparameters) -> Trained:
    """Load a trained model.

    Raises:
        UserError: the folder holds none of this form, or inputs can be longer than it takes.
    """
    forms: dict[Form, Callable[[ModelUse, Path, Hyperparameters], Trained]] = {
        Form.ENCODER_HEAD: TrainedHeads,
        Form.TEXT_TO_TEXT: TrainedTexts,
    }
    return forms[use.form](use, folder, recipe)
