"""How a sequence becomes one vector. The choice is part of a stage's key."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from xstilts.errors import SpecError
from xstilts.stage import Pooling
from xstilts.task import TaskType


@dataclass(frozen=True)
class Encoded:
    """What an encoder gives for N sequences of T tokens: `hidden` [N, T, H], `mask` [N, T] of 0 and 1.

    `pooled` [N, H] is the output of the encoder's own pooler, where it has one and pooling asks for it.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None


def first_token(hidden: Tensor) -> Tensor:
    """The vector of the first token: [N, T, H] -> [N, H]."""
    return hidden[:, 0]


def masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over all tokens that are not padding, special ones included: [N, T, H], [N, T] -> [N, H]."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


class FirstPooling(nn.Module):
    """The first token's vector."""

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, H]."""
        return first_token(encoded.hidden)


class MeanPooling(nn.Module):
    """The mean over the attention mask."""

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, H]."""
        return masked_mean(encoded.hidden, encoded.mask)


class EncoderPooling(nn.Module):
    """The encoder's own pooler: a dense layer and tanh over the first token, part of the checkpoint (BERT)."""

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, H]."""
        if encoded.pooled is None:
            raise ValueError("the backbone was loaded without its pooler: load it with the same pooling")
        return encoded.pooled


class DensePooling(nn.Module):
    """A dense layer over the first token that belongs to the head and begins anew.

    XLMRobertaClassificationHead (tanh) and DeBERTa's ContextPooler (its config's activation) without their last layer.
    """

    def __init__(self, hidden_size: int, dropout: float, activation: str) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = ACT2FN[activation]

    def forward(self, encoded: Encoded) -> Tensor:
        """[N, T, H] -> [N, H]."""
        pooled: Tensor = self.activation(self.dense(self.dropout(first_token(encoded.hidden))))
        return pooled


def make_pooling(pooling: Pooling, config: PreTrainedConfig, task_type: TaskType) -> nn.Module:
    """The module that pools for a head of this type.

    Raises:
        SpecError: transformers has no pooling of its own for this backbone (mT5's encoder).
    """
    if pooling is Pooling.FIRST:
        return FirstPooling()
    if pooling is Pooling.MEAN:
        return MeanPooling()
    if config.model_type == "deberta-v2":
        return DensePooling(config.pooler_hidden_size, config.pooler_dropout, config.pooler_hidden_act)
    if config.model_type == "xlm-roberta" and task_type is TaskType.CLASSIFICATION:
        return DensePooling(config.hidden_size, classifier_dropout(config), "tanh")
    if has_pooler(config):
        return EncoderPooling()
    raise SpecError(
        f"pooling: must be First or Mean for a model of type {config.model_type}, was Transformers;"
        " transformers has no sequence head for this encoder alone"
    )


def has_pooler(config: PreTrainedConfig) -> bool:
    """Whether transformers' encoder of this type carries a pooler of its own."""
    return config.model_type in {"bert", "xlm-roberta"}


def classifier_dropout(config: PreTrainedConfig) -> float:
    """The dropout before the last layer of a head, by transformers' own rule for this type of model."""
    for field in ("cls_dropout", "classifier_dropout", "hidden_dropout_prob"):
        value = getattr(config, field, None)
        if value is not None:
            return float(value)
    return 0.0
