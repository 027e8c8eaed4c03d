"""Tiny random models of each type, with tokenizers made here: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xstilts.stage import Family

WORDS = [f"w{number}" for number in range(40)]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SMALL = {"num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 24}
SIZES: dict[str, dict[str, Any]] = {
    "xlm-roberta": {**SMALL, "max_position_embeddings": 40, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "bert": {**SMALL, "max_position_embeddings": 40, "type_vocab_size": 2},
    "deberta-v2": {
        **SMALL,
        "max_position_embeddings": 40,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "pooler_dropout": 0.0,
    },
    "mt5": {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2},
}
PREFIXES = {"xlm-roberta": "XLMRoberta", "bert": "Bert", "deberta-v2": "DebertaV2", "mt5": "MT5"}
FAMILIES = {
    "xlm-roberta": Family.XLMR,
    "bert": Family.BERT,
    "deberta-v2": Family.MDEBERTA,
    "mt5": Family.MT5,
}


def tiny_config(model_type: str, **changes: Any) -> transformers.PreTrainedConfig:
    config_class = getattr(transformers, f"{PREFIXES[model_type]}Config")
    # a wide initialiser: with the usual 0.02 so small a model hardly tells one input from another
    wide = {} if model_type == "mt5" else {"initializer_range": 0.3}
    return config_class(**SIZES[model_type], **wide, vocab_size=64, pad_token_id=1, **changes)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=32,
    )


def tiny_model(model_type: str, suffix: str, seed: int = 0, **changes: Any) -> transformers.PreTrainedModel:
    """transformers' own class `<Type><suffix>`, random weights, dropout off."""
    torch.manual_seed(seed)
    return getattr(transformers, f"{PREFIXES[model_type]}{suffix}")(tiny_config(model_type, **changes)).eval()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint folder of transformers' own class, with a tokenizer."""

    def save(model_type: str, suffix: str, **changes: Any) -> Path:
        folder = tmp_path / f"{model_type}-{suffix}"
        tiny_model(model_type, suffix, **changes).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
        return folder

    return save


def random_batch(*shape: int, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random token ids of [..., T] with rows of different lengths, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(len(SPECIAL), 64, shape, generator=generator)
    lengths = torch.randint(3, shape[-1] + 1, shape[:-1], generator=generator)
    mask = (torch.arange(shape[-1]) < lengths.unsqueeze(-1)).long()
    return {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask}
