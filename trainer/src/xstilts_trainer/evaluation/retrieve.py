"""Retrieval and mining without training: the encoder as it is, one layer's vectors, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from xstilts.errors import DataError
from xstilts.stage import RetrievalUse, TaskData
from xstilts.task import TaskType
from xstilts_trainer.data.examples import Corpora, RetrievalExample
from xstilts_trainer.data.load import load_corpora, load_examples
from xstilts_trainer.evaluation.chance import uniform_chance
from xstilts_trainer.evaluation.predict import Predictions
from xstilts_trainer.evaluation.test_sets import in_task
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.retrieval.embeddings import embed
from xstilts_trainer.retrieval.mining import cross_fitted, mine
from xstilts_trainer.retrieval.tatoeba import english_order, retrieve

Sentences: TypeAlias = Sequence[RetrievalExample] | Corpora


def load_sentences(data: TaskData, folder: Path) -> dict[str, Sentences]:
    """The sentences of a retrieval or mining task, by language.

    Raises:
        DataError: what is wrong in the first file that has a fault, the task's name before the file's.
    """
    try:
        return {language: _load(data, folder, language) for language in data.languages}
    except DataError as error:
        raise in_task(data.task, error) from None


def predict_pairs(backbone: Backbone, sentences: Sentences, use: RetrievalUse) -> Predictions:
    """Retrieval: the row of the nearest foreign sentence for each English one, in a submission's order.

    Mining: the pairs above a threshold that is cross-fitted over halves, since the gold of BUCC's test is not public: a dev
    score.
    """

    def vectors(texts: Sequence[str]) -> Tensor:
        return embed(backbone, texts, use)

    if isinstance(sentences, Corpora):
        pairs = cross_fitted(mine(sentences, vectors), sentences.gold).pairs
        return Predictions(sentences.gold, pairs, pairs)
    found = retrieve(sentences, vectors)
    return Predictions(english_order(sentences), found, found, uniform_chance(len(sentences)))


def _load(data: TaskData, folder: Path, language: str) -> Sentences:
    if data.task.type is TaskType.MINING:
        return load_corpora(folder, data.split, language)
    examples = load_examples(folder, data.task, data.split, language)
    return [example for example in examples if isinstance(example, RetrievalExample)]
