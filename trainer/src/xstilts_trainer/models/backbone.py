"""A pretrained encoder with its tokenizer, from and to a folder in transformers' own form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transformers import (
    BertModel,
    DebertaV2Model,
    MT5EncoderModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaModel,
)

from xstilts.stage import Family, Pooling
from xstilts_trainer.models.folders import (
    check_names,
    check_weights,
    load_tokenizer,
    load_weights,
    read_config,
    save_checkpoint_folder,
)
from xstilts_trainer.models.initialisation import generator_for, initialise
from xstilts_trainer.models.pooling import has_pooler

ENCODERS: Final[Mapping[str, Any]] = {
    "bert": BertModel,
    "deberta-v2": DebertaV2Model,
    "mt5": MT5EncoderModel,
    "xlm-roberta": XLMRobertaModel,
}


@dataclass(frozen=True)
class Backbone:
    """An encoder (fp32) that gives [N, T, H] for [N, T] token ids, and the tokenizer that makes them."""

    encoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    family: Family

    @property
    def config(self) -> PreTrainedConfig:
        """The encoder's config."""
        return self.encoder.config


def load_backbone(
    folder: Path, family: Family, *, pooling: Pooling = Pooling.FIRST, seed: int = 0
) -> Backbone:
    """Load the encoder and the tokenizer of a local checkpoint folder, weights in fp32 whatever the file holds.

    A checkpoint with a language-model or task head loads too: its head is dropped. `pooling` Transformers keeps the
    encoder's own pooler, which begins anew (from `seed`) where the checkpoint has none; other poolings drop it.

    Raises:
        DataError: no such folder, no safetensors, remote code, another family's model, or weights and config that
            do not belong together.
    """
    config = read_config(folder, family, ENCODERS)
    check_weights(folder)
    with_pooler = pooling is Pooling.TRANSFORMERS and has_pooler(config)
    encoder = _load_encoder(folder, config, with_pooler=with_pooler, seed=seed)
    return Backbone(encoder=encoder, tokenizer=load_tokenizer(folder, config), family=family)


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write config.json, model.safetensors (one file, fp32) and the tokenizer: equal backbones, equal bytes."""
    save_checkpoint_folder(backbone.encoder, backbone.tokenizer, folder)


def _load_encoder(folder: Path, config: PreTrainedConfig, *, with_pooler: bool, seed: int) -> PreTrainedModel:
    options = {"add_pooling_layer": with_pooler} if has_pooler(config) else {}
    loaded = load_weights(folder, ENCODERS[config.model_type], config, **options)
    encoder: Any = loaded.model
    check_names(
        folder,
        "encoder",
        missing={name for name in loaded.missing if not name.startswith("pooler.")},
        unexpected=set(_encoder_names(loaded.unexpected, encoder)),
        mismatched=loaded.mismatched,
    )
    if with_pooler and "pooler.dense.weight" in loaded.missing:
        initialise(encoder.pooler, config, generator_for(seed, "pooler"))
    return loaded.model


def _encoder_names(names: Iterable[str], encoder: PreTrainedModel) -> Iterator[str]:
    """Of the names that the encoder did not take, those that claim to be the encoder's: all others are heads'."""
    parts = {name for name, _ in encoder.named_children()} - {"pooler"}
    for name in names:
        inner = name.removeprefix(f"{encoder.base_model_prefix}.")
        # position_ids were saved by old versions: they are numbers in order, and no weights
        if inner.split(".")[0] in parts and not inner.endswith(".position_ids"):
            yield inner
