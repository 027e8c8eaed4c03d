"""Which features the examples of a task become, for a model with heads: one place that knows all task types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from xstilts_trainer.data.examples import ChoiceExample, Example, PairExample, SpanExample, TagExample
from xstilts_trainer.data.features import Encoded, Feature, encode_choices, encode_pairs
from xstilts_trainer.data.span import encode_spans
from xstilts_trainer.data.tagging import encode_tags

if TYPE_CHECKING:
    from xstilts.stage import Hyperparameters
    from xstilts.task import Task
    from xstilts_trainer.data.pieces import PieceTokenizer

E = TypeVar("E", PairExample, ChoiceExample, TagExample, SpanExample)


class Features(Protocol):
    """How the examples of a task become features: what a form of model reads."""

    @property
    def pieces(self) -> PieceTokenizer:
        """Pads the batches."""

    def training(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features that are trained on, with labels."""

    def test(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:
        """The features that are predicted."""


class HeadFeatures:
    """The features of a model with heads: the same for training and prediction."""

    def __init__(self, pieces: PieceTokenizer, hyperparameters: Hyperparameters) -> None:
        self.pieces = pieces
        self._recipe = hyperparameters

    def training(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:  # noqa: ARG002 - a head has its task
        """The features of the examples; errors as `encode`."""
        return encode(self.pieces, examples, self._recipe)

    def test(self, task: Task, examples: Sequence[Example]) -> Encoded[Feature]:
        """The same."""
        return self.training(task, examples)


def encode(
    pieces: PieceTokenizer, examples: Sequence[Example], hyperparameters: Hyperparameters
) -> Encoded[Feature]:
    """The features of the examples of one task, all of one type.

    Raises:
        TypeError: retrieval examples, which no head reads (`retrieval.embeddings` does), or mixed types.
    """
    max_length = hyperparameters.max_length
    match examples[0]:
        case PairExample():
            return encode_pairs(pieces, all_of(PairExample, examples), max_length)
        case ChoiceExample():
            return encode_choices(pieces, all_of(ChoiceExample, examples), max_length)
        case TagExample():
            return encode_tags(pieces, all_of(TagExample, examples), max_length)
        case SpanExample():
            return encode_spans(
                pieces,
                all_of(SpanExample, examples),
                max_length=max_length,
                doc_stride=hyperparameters.doc_stride,
                max_query_length=hyperparameters.max_query_length,
            )
        case other:
            raise TypeError(f"{type(other).__name__} makes no features of one sequence")


def all_of(kind: type[E], examples: Sequence[Example]) -> list[E]:
    """The examples, which are all of this type.

    Raises:
        TypeError: they are not.
    """
    typed = [example for example in examples if isinstance(example, kind)]
    if len(typed) != len(examples):
        raise TypeError(f"examples must all be {kind.__name__}")
    return typed
