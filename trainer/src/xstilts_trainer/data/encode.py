"""Which features the examples of a task become: one place that knows all task types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from xstilts_trainer.data.examples import ChoiceExample, Example, PairExample, SpanExample, TagExample
from xstilts_trainer.data.features import Encoded, Feature, encode_choices, encode_pairs
from xstilts_trainer.data.span import encode_spans
from xstilts_trainer.data.tagging import encode_tags

if TYPE_CHECKING:
    from xstilts.stage import Hyperparameters
    from xstilts_trainer.data.pieces import PieceTokenizer

E = TypeVar("E", PairExample, ChoiceExample, TagExample, SpanExample)


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
            return encode_pairs(pieces, _all(PairExample, examples), max_length)
        case ChoiceExample():
            return encode_choices(pieces, _all(ChoiceExample, examples), max_length)
        case TagExample():
            return encode_tags(pieces, _all(TagExample, examples), max_length)
        case SpanExample():
            return encode_spans(
                pieces,
                _all(SpanExample, examples),
                max_length=max_length,
                doc_stride=hyperparameters.doc_stride,
                max_query_length=hyperparameters.max_query_length,
            )
        case other:
            raise TypeError(f"{type(other).__name__} makes no features of one sequence")


def _all(kind: type[E], examples: Sequence[Example]) -> list[E]:
    typed = [example for example in examples if isinstance(example, kind)]
    if len(typed) != len(examples):
        raise TypeError(f"examples must all be {kind.__name__}")
    return typed
