"""Retrieval and mining without training: the encoder as it is, one layer's vectors, nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from xstilts_trainer.retrieval.embeddings import Embed, embed, embed_once
from xstilts_trainer.retrieval.mining import cross_fitted, distinct_texts, mine
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


def count_texts(sentences: Mapping[str, Sentences]) -> int:
    """How many texts `predict_pairs` embeds."""
    corpora = [corpus for held in _corpora(sentences) for corpus in (held.sources, held.targets)]
    return len(set(_texts(sentences))) + sum(len(distinct_texts(corpus)) for corpus in corpora)


def predict_pairs(
    backbone: Backbone,
    sentences: Mapping[str, Sentences],
    use: RetrievalUse,
    embedded: Callable[[int], None],
) -> Iterator[tuple[str, Predictions]]:
    """The predictions of a task, language by language.

    Retrieval: the row of the nearest foreign sentence for each English one, in a submission's order. Languages share
    much of their English side: a text is embedded once for all of them, and is one cluster of items in all of them.

    Mining: the pairs above a threshold that is cross-fitted over halves, since the gold of BUCC's test is not public: a dev
    score. A corpus is large, so its vectors are held only while it is mined.

    Args:
        backbone: the encoder, on the device where it shall run.
        sentences: those of each language.
        use: the layer, the pooling, the prefix and the length.
        embedded: is told how many more texts are embedded, of `count_texts`.
    """

    def vectors(texts: Sequence[str]) -> Tensor:
        return embed(backbone, texts, use, embedded)

    texts = list(_texts(sentences))
    known = embed_once(texts, vectors) if texts else vectors
    clusters: dict[str, int] = {}
    for language, of_language in sentences.items():
        if isinstance(of_language, Corpora):
            yield language, _mined(of_language, vectors)
        else:
            yield language, _retrieved(of_language, known, clusters)


def _mined(corpora: Corpora, vectors: Embed) -> Predictions:
    pairs = cross_fitted(mine(corpora, vectors), corpora.gold).pairs
    return Predictions(corpora.gold, pairs, pairs)


def _retrieved(examples: Sequence[RetrievalExample], vectors: Embed, clusters: dict[str, int]) -> Predictions:
    """Of one language; `clusters` are the numbers of the English texts so far, and grow."""
    order, found = english_order(examples), retrieve(examples, vectors)
    numbers = tuple(clusters.setdefault(examples[row].target, len(clusters)) for row in order)
    return Predictions(order, found, found, uniform_chance(len(examples)), numbers, shared=True)


def _corpora(sentences: Mapping[str, Sentences]) -> Iterator[Corpora]:
    return (held for held in sentences.values() if isinstance(held, Corpora))


def _texts(sentences: Mapping[str, Sentences]) -> Iterator[str]:
    """Both sides of every example of every language."""
    for examples in sentences.values():
        if not isinstance(examples, Corpora):
            for example in examples:
                yield from (example.source, example.target)


def _load(data: TaskData, folder: Path, language: str) -> Sentences:
    if data.task.type is TaskType.MINING:
        return load_corpora(folder, data.split, language)
    examples = load_examples(folder, data.task, data.split, language)
    return [example for example in examples if isinstance(example, RetrievalExample)]
