"""Sentences as vectors: one layer of the encoder, pooled and scaled to length 1."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from xstilts.errors import SpecError
from xstilts.stage import Pooling, RetrievalUse
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import encode
from xstilts_trainer.models.lengths import longest_input
from xstilts_trainer.models.pooling import first_token, masked_mean

BATCH_SIZE = 64
TOKENIZED = 4096  # sentences at a time: a tokenizer returns 5 kB for a sentence of 24 pieces
Embed = Callable[[Sequence[str]], Tensor]


@torch.inference_mode()
def embed(
    backbone: Backbone,
    sentences: Sequence[str],
    use: RetrievalUse,
    embedded: Callable[[int], None] = lambda _count: None,
) -> Tensor:
    """Vectors [S, H] of S sentences, each of length 1, on the encoder's device.

    `hidden_states[use.layer]` is pooled over all tokens that are not padding, special ones included (as XTREME and
    jiant do), or taken at the first token. Equal sentences get equal vectors, bit for bit, and the order of the
    sentences does not matter: each distinct one is embedded once, beside others of its length. Longer ones are cut
    to `use.max_length` pieces or the model's own limit. The encoder is left in evaluation mode. `embedded` is told after
    each batch how many more of the distinct sentences have their vector.

    Raises:
        SpecError: the encoder has no such layer, or the pooling is transformers' own.
    """
    if use.pooling is Pooling.TRANSFORMERS:
        raise SpecError("retrieval.pooling: must be First or Mean, was Transformers")
    encoder = backbone.encoder.train(mode=False)
    first: dict[str, int] = {}
    for row, sentence in enumerate(sentences):
        first.setdefault(sentence, row)
    distinct = sorted(first)
    # where they are to stand at the end: a copy would double what a large corpus takes
    vectors = torch.empty(len(sentences), backbone.config.hidden_size, device=encoder.device)
    for rows, inputs in sentence_batches(backbone, distinct, use):
        on_device = {name: tensor.to(encoder.device) for name, tensor in inputs.items()}
        hidden = hidden_state(backbone, on_device, use.layer)
        pooled = (
            masked_mean(hidden, on_device["attention_mask"])
            if use.pooling is Pooling.MEAN
            else first_token(hidden)
        )
        vectors[[first[distinct[row]] for row in rows]] = normalize(pooled, dim=-1)
        embedded(len(rows))
    repeats = [row for row, sentence in enumerate(sentences) if first[sentence] != row]
    vectors[repeats] = vectors[[first[sentences[row]] for row in repeats]]
    return vectors


def embed_once(sentences: Iterable[str], embed: Embed) -> Embed:
    """The same as `embed` for any of the sentences, of which each distinct one is embedded now, in one pass."""
    rows = {sentence: row for row, sentence in enumerate(dict.fromkeys(sentences))}
    vectors = embed(list(rows))
    return lambda wanted: vectors[[rows[sentence] for sentence in wanted]]


def hidden_state(backbone: Backbone, inputs: Mapping[str, Tensor], layer: int) -> Tensor:
    """`hidden_states[layer]` [N, T, H] of transformers, without running the layers behind it.

    Layer 0 is the embeddings, the last one the encoder's output; negative ones count from the end.

    Raises:
        SpecError: the encoder has no such layer.
    """
    layers = _layers(backbone.encoder)
    count = len(layers)
    if not -(count + 1) <= layer <= count:
        raise SpecError(
            f"retrieval.layer: must be from {-(count + 1)} to {count} for a model of {count} layers, was {layer}"
        )
    number = layer % (count + 1)
    if number == count:
        return encode(backbone, inputs).hidden
    handle = layers[number].register_forward_pre_hook(_stop)
    try:
        encode(backbone, inputs)
    except _ReachedError as reached:
        return reached.hidden
    finally:
        handle.remove()
    raise AssertionError("the encoder ran past the layer at which it must stop")


class _ReachedError(Exception):
    """Ends a forward pass at the layer that is asked for: every encoder calls its layers with their input first."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def _stop(_layer: nn.Module, arguments: tuple[Any, ...]) -> None:
    raise _ReachedError(arguments[0])


def _layers(encoder: PreTrainedModel) -> nn.ModuleList:
    layers = encoder.get_submodule("encoder.block" if encoder.config.model_type == "mt5" else "encoder.layer")
    assert isinstance(layers, nn.ModuleList)  # noqa: S101 - transformers does not say so in its types
    return layers


def sentence_batches(
    backbone: Backbone, sentences: list[str], use: RetrievalUse
) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Rows and padded inputs of sentences of like length, the longest first: what does not fit fails at once."""
    tokenizer = backbone.tokenizer
    max_length = min(
        use.max_length,
        tokenizer.model_max_length,  # huge where the tokenizer does not say
        longest_input(backbone.config) or use.max_length,
    )
    encoded: dict[str, list[array[int]]] = {"input_ids": []}
    for start in range(0, len(sentences), TOKENIZED):
        texts = [use.prefix + sentence for sentence in sentences[start : start + TOKENIZED]]
        for name, lists in tokenizer(texts, truncation=True, max_length=max_length).items():
            encoded.setdefault(name, []).extend(array("i", numbers) for numbers in lists)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    order = sorted(range(len(sentences)), key=lambda row: -lengths[row])
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        features = {name: [values[row].tolist() for row in rows] for name, values in encoded.items()}
        padded = tokenizer.pad(features, padding="longest", return_tensors="pt")
        yield rows, dict(padded)
