"""How big a transformer is, in the words of its config: what its parameters and its arithmetic are computed from.

The sizes of the models that `xstilts.catalogue.models` knows are those of their config.json, from memory but for
multilingual-e5-small's, which was read; tests/estimate counts the parameters of models that transformers makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

_MOST: Final = 10**8  # of anything that is counted here: what is more is no model's


@dataclass(frozen=True)
class Size:
    """A transformer's dimensions.

    Attributes:
        layers: of the encoder.
        hidden: the width of its vectors.
        attention: the width of queries, keys and values: heads x their size.
        feed_forward: the width between the two matrices of a feed-forward layer.
        vocabulary: rows of the table of pieces.
        heads: attention heads.
        other_rows: rows of all other tables of embeddings: positions, segments, relative positions.
        decoder_layers: none in an encoder.
        gated: a feed-forward layer has a third matrix (GEGLU), and nothing has biases: T5's form.
        relative: places of relative positions that queries and keys are multiplied with as well (DeBERTa).
    """

    layers: int
    hidden: int
    attention: int
    feed_forward: int
    vocabulary: int
    heads: int
    other_rows: int = 0
    decoder_layers: int = 0
    gated: bool = False
    relative: int = 0

    @property
    def layer_weights(self) -> int:
        """The weights of one encoder layer that a token's vector is multiplied with."""
        return 4 * self.hidden * self.attention + (3 if self.gated else 2) * self.hidden * self.feed_forward

    @property
    def encoder_weights(self) -> int:
        """Of all encoder layers: N of Kaplan et al. (2020), which leaves out embeddings, biases and norms."""
        return self.layers * self.layer_weights

    @property
    def decoder_weights(self) -> int:
        """Of all decoder layers, with their attention to the encoder."""
        return self.decoder_layers * (self.layer_weights + 4 * self.hidden * self.attention)

    @property
    def encoder_parameters(self) -> int:
        """Everything that is trained in an encoder with a head, but for the head."""
        small = self._small * self.layers + (1 if self.gated else 2) * self.hidden
        tables = self.other_rows * (self.heads if self.gated else self.hidden)
        return self.encoder_weights + small + tables + self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Of the whole model: with a decoder and its language-model head, where it has one."""
        if not self.decoder_layers:
            return self.encoder_parameters
        small = self.decoder_layers * 3 * self.hidden + self.hidden
        head = self.vocabulary * self.hidden
        return self.encoder_parameters + self.decoder_weights + small + self.other_rows * self.heads + head

    @property
    def _small(self) -> int:
        """Biases and norms of an encoder layer."""
        if self.gated:
            return 2 * self.hidden
        return 3 * self.attention + self.hidden + self.feed_forward + self.hidden + 4 * self.hidden

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Size | None:
        """The size that a checkpoint's config.json tells; None where it is of no kind that is known here."""
        try:
            match config.get("model_type"):
                case "mt5":
                    return _t5(config)
                case "bert" | "xlm-roberta" | "deberta-v2":
                    return _bert(config)
                case _:
                    return None
        except (KeyError, TypeError):
            return None


def bert(layers: int, hidden: int, vocabulary: int, *, heads: int, other_rows: int) -> Size:
    """BERT's and RoBERTa's form: feed-forward layers four times as wide as the vectors."""
    return Size(layers, hidden, hidden, 4 * hidden, vocabulary, heads, other_rows)


def mt5(layers: int, hidden: int, feed_forward: int, heads: int) -> Size:
    """MT5's form: heads of 64, 32 buckets of relative positions, a head of its own, 250,112 pieces."""
    return Size(
        layers,
        hidden,
        64 * heads,
        feed_forward,
        vocabulary=250_112,
        heads=heads,
        other_rows=32,
        decoder_layers=layers,
        gated=True,
    )


def deberta(layers: int, hidden: int, vocabulary: int, heads: int) -> Size:
    """DeBERTa v3's form: 256 buckets of relative positions to either side and a norm of their table, no others."""
    return Size(
        layers, hidden, hidden, 4 * hidden, vocabulary, heads, other_rows=512 + 2, relative=512
    )  # a norm has as many numbers as two rows


XLMR_BASE = bert(12, 768, 250_002, heads=12, other_rows=514 + 1)
XLMR_LARGE = bert(24, 1024, 250_002, heads=16, other_rows=514 + 1)
MBERT = bert(12, 768, 119_547, heads=12, other_rows=512 + 2)
BERT_BASE = bert(12, 768, 30_522, heads=12, other_rows=512 + 2)
MINILM_L6 = bert(6, 384, 30_522, heads=12, other_rows=512 + 2)
E5_SMALL = bert(12, 384, 250_037, heads=12, other_rows=512 + 2)
MDEBERTA_BASE = deberta(12, 768, 251_000, heads=12)
MT5_SMALL = mt5(8, 512, 1024, heads=6)
MT5_BASE = mt5(12, 768, 2048, heads=12)
MT5_LARGE = mt5(24, 1024, 2816, heads=16)
MT5_XL = mt5(24, 2048, 5120, heads=32)
MT5_XXL = mt5(24, 4096, 10_240, heads=64)


def _bert(config: Mapping[str, Any]) -> Size:
    number = partial(_number, config)
    if config["model_type"] == "deberta-v2":
        relative = 2 * number("position_buckets")
        rows = relative + 2
    else:
        relative = 0
        rows = number("max_position_embeddings") + number("type_vocab_size", least=0)
    return Size(
        layers=number("num_hidden_layers"),
        hidden=number("hidden_size"),
        attention=number("hidden_size"),
        feed_forward=number("intermediate_size"),
        vocabulary=number("vocab_size"),
        heads=number("num_attention_heads"),
        other_rows=rows,
        relative=relative,
    )


def _t5(config: Mapping[str, Any]) -> Size:
    number = partial(_number, {"relative_attention_num_buckets": 32, **config})
    return Size(
        layers=number("num_layers"),
        hidden=number("d_model"),
        attention=number("num_heads") * number("d_kv"),
        feed_forward=number("d_ff"),
        vocabulary=number("vocab_size"),
        heads=number("num_heads"),
        other_rows=number("relative_attention_num_buckets"),
        decoder_layers=number("num_decoder_layers" if "num_decoder_layers" in config else "num_layers"),
        gated=True,
    )


def _number(config: Mapping[str, Any], name: str, *, least: int = 1) -> int:
    """A number of a config.json, which may hold anything.

    Raises:
        KeyError: there is none.
        TypeError: it is no number that a model can have.
    """
    value = config[name]
    if type(value) is not int or not least <= value <= _MOST:
        raise TypeError(name)
    return value
