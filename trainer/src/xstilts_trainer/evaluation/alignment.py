"""How well translations align at every layer of an encoder: from one forward pass a text, layer by layer.

A layer's vectors are those of retrieval: pooled, and scaled to length 1. What is told of them: the mean cosine of
sentences that translate each other, the mean cosine of those that do not, and how often the nearest foreign sentence of an
English one is its translation. At the layer that a model retrieves with, the last is its score on the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xstilts.stage import Pooling, RetrievalUse
from xstilts_trainer.data.examples import RetrievalExample
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import hidden_states
from xstilts_trainer.models.pooling import first_token, masked_mean
from xstilts_trainer.retrieval.embeddings import sentence_batches
from xstilts_trainer.retrieval.tatoeba import english_order, retrieve


@dataclass(frozen=True)
class LayerAlignment:
    """What one layer knows of a language.

    Attributes:
        layer: 0 is the embeddings, the last one the encoder's output.
        pairs: the mean cosine of the sentences of a pair.
        others: that of each foreign sentence with the English ones of all other pairs; None where there is one pair.
        accuracy: the share of English sentences, in percent, whose nearest foreign one is their translation.
    """

    layer: int
    pairs: float
    others: float | None
    accuracy: float

    def to_json(self) -> dict[str, int | str | None]:
        """As it stands in `alignment.json`, decimals as strings."""
        others = None if self.others is None else repr(self.others)
        return {
            "layer": self.layer,
            "pairs": repr(self.pairs),
            "others": others,
            "accuracy": repr(self.accuracy),
        }


def count_probed(sentences: Mapping[str, Sequence[RetrievalExample]]) -> int:
    """How many texts `probe_layers` embeds."""
    return sum(len(set(_texts(examples))) for examples in sentences.values())


def probe_layers(
    backbone: Backbone,
    sentences: Mapping[str, Sequence[RetrievalExample]],
    use: RetrievalUse,
    embedded: Callable[[int], None],
) -> Iterator[tuple[str, list[LayerAlignment]]]:
    """The alignment of all layers, language by language: all vectors of one language are held at a time.

    Args:
        backbone: the encoder, on the device where it shall run.
        sentences: those of each language.
        use: the pooling, the prefix and the length; its layer says nothing here.
        embedded: is told how many more texts are embedded, of `count_probed`.
    """
    for language, examples in sentences.items():
        rows = {text: row for row, text in enumerate(sorted(set(_texts(examples))))}
        vectors = _embed_layers(backbone, list(rows), use, embedded)
        yield language, [_aligned(layer, of_layer, rows, examples) for layer, of_layer in enumerate(vectors)]


@torch.inference_mode()
def _embed_layers(
    backbone: Backbone, texts: list[str], use: RetrievalUse, embedded: Callable[[int], None]
) -> Tensor:
    """Vectors [L + 1, S, H] of S texts, each of length 1; of any layer those of `retrieval.embeddings.embed`."""
    encoder = backbone.encoder.train(mode=False)
    vectors: Tensor | None = None
    for rows, inputs in sentence_batches(backbone, texts, use):
        on_device = {name: tensor.to(encoder.device) for name, tensor in inputs.items()}
        mask = on_device["attention_mask"]
        pooled = [
            masked_mean(hidden, mask) if use.pooling is Pooling.MEAN else first_token(hidden)
            for hidden in hidden_states(backbone, on_device)
        ]
        if vectors is None:
            vectors = torch.empty(len(pooled), len(texts), pooled[0].shape[-1], device=encoder.device)
        vectors[:, rows] = normalize(torch.stack(pooled), dim=-1)
        embedded(len(rows))
    assert vectors is not None  # noqa: S101 - a task has sentences
    return vectors


def _aligned(
    layer: int, vectors: Tensor, rows: Mapping[str, int], examples: Sequence[RetrievalExample]
) -> LayerAlignment:
    def embed(texts: Sequence[str]) -> Tensor:
        return vectors[[rows[text] for text in texts]]

    foreign = embed([example.source for example in examples]).double()
    english = embed([example.target for example in examples]).double()
    count = len(examples)
    pairs = float((foreign * english).sum())
    everything = float(foreign.sum(dim=0) @ english.sum(dim=0))  # the sum of all count * count cosines
    right = zip(english_order(examples), retrieve(examples, embed), strict=True)
    return LayerAlignment(
        layer=layer,
        pairs=pairs / count,
        others=(everything - pairs) / (count * (count - 1)) if count > 1 else None,
        accuracy=100 * sum(gold == found for gold, found in right) / count,
    )


def _texts(examples: Sequence[RetrievalExample]) -> Iterator[str]:
    for example in examples:
        yield from (example.source, example.target)
