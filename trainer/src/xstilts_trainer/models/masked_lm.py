"""Masked language modelling on a backbone: logits at masked positions only, the decoder tied to the embeddings.

The head is transformers' own of BERT, XLM-R and DeBERTa: dense, activation, layer norm, then the embedding table with a
bias a piece. The weights that the checkpoint was pretrained with are read from it, where it has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from xstilts.errors import SpecError
from xstilts_trainer.data.places import labelled
from xstilts_trainer.models.backbone import Backbone
from xstilts_trainer.models.encoder_model import encode
from xstilts_trainer.models.folders import weight_files
from xstilts_trainer.models.initialisation import generator_for, initialise
from xstilts_trainer.models.linear import Linear, linear
from xstilts_trainer.models.packing import layout_of

HEAD_NAMES: Final = (  # where a checkpoint's head keeps (dense, norm, bias): XLM-R; BERT and old DeBERTa; DeBERTa v3
    ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
    ("lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm", "lm_predictions.lm_head.bias"),
)


class MaskedLMHead(nn.Module):
    """From vectors [M, H] and the embedding table [V, H] to logits [M, V]."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN["gelu" if config.model_type == "xlm-roberta" else config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """[M, H], [V, H] -> [M, V]."""
        return linear(self.norm(self.activation(self.dense(hidden))), embeddings, self.bias)


class MaskedLM(nn.Module):
    """A backbone and its masked-language-model head."""

    def __init__(self, backbone: Backbone, head: MaskedLMHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.encoder = backbone.encoder
        self.head = head

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits [M, V] of the M positions whose label is not -100, row by row, for inputs and labels [B, T]."""
        hidden = encode(self.backbone, batch, layout_of(self.encoder, batch)).hidden
        embeddings = self.encoder.get_input_embeddings().weight
        logits: Tensor = self.head(hidden.flatten(0, 1)[labelled(batch)], embeddings)
        return logits.float()

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean cross-entropy over the masked positions; 0 for a batch without any."""
        targets = batch["labels"].flatten()[labelled(batch)]
        total = cross_entropy(self.logits(batch), targets, reduction="sum")
        return total / max(targets.numel(), 1)


def load_masked_lm(backbone: Backbone, folder: Path, seed: int) -> MaskedLM:
    """Put the head on a backbone that was loaded from `folder`: the checkpoint's own, else a new one from `seed`.

    Raises:
        SpecError: a backbone without masked language modelling (mT5: its objective is span corruption).
    """
    if backbone.config.model_type == "mt5":
        raise SpecError("continuedPretraining.objective: must be SpanCorruption for mT5, was MLM")
    head = MaskedLMHead(backbone.config)
    weights = _read_head(folder)
    if weights is None:
        initialise(head, backbone.config, generator_for(seed, "masked-lm"))
    else:
        head.load_state_dict(weights)
    return MaskedLM(backbone, head)


def _read_head(folder: Path) -> dict[str, Tensor] | None:
    """The weights of the checkpoint's own head, under our names; None where there is none."""
    where: dict[str, Path] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            where |= dict.fromkeys(file.keys(), path)
    for dense, norm, bias in HEAD_NAMES:
        names = {
            "dense.weight": f"{dense}.weight",
            "dense.bias": f"{dense}.bias",
            "norm.weight": f"{norm}.weight",
            "norm.bias": f"{norm}.bias",
            "bias": bias,
        }
        if all(name in where for name in names.values()):
            return {ours: _read_tensor(where[theirs], theirs) for ours, theirs in names.items()}
    return None


def _read_tensor(path: Path, name: str) -> Tensor:
    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor.float()
