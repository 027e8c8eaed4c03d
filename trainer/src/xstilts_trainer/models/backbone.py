"""A pretrained encoder with its tokenizer, from and to a folder in transformers' own form.

safetensors alone are read: a pickle can run code. Remote code is refused, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoTokenizer,
    BertModel,
    DebertaV2Model,
    MT5EncoderModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    XLMRobertaModel,
)
from transformers.utils import logging

from xstilts.errors import DataError, Problem
from xstilts.stage import Family, Pooling
from xstilts_trainer.models.initialisation import generator_for, initialise
from xstilts_trainer.models.pooling import has_pooler

ENCODERS: Final[Mapping[str, Any]] = {
    "bert": BertModel,
    "deberta-v2": DebertaV2Model,
    "mt5": MT5EncoderModel,
    "xlm-roberta": XLMRobertaModel,
}
MODEL_TYPES: Final[Mapping[Family, tuple[str, ...]]] = {
    Family.XLMR: ("xlm-roberta",),
    Family.MBERT: ("bert",),
    Family.MDEBERTA: ("deberta-v2",),
    Family.BERT: ("bert",),
    Family.E5: ("bert", "xlm-roberta"),  # small is a BertModel, base and large are XLM-R
    Family.MT5: ("mt5",),
}
_transformers_logging: Any = logging  # its functions carry no types
WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
READABLE: Final = 0o644  # safetensors writes files that their owner alone may read; a store has other readers
TOKENIZERS: Final = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model")
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


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


def encoder_folder(folder: Path, *, new: bool = False) -> Path:
    """Where the checkpoint lies: `encoder/` in what training made, the root in a pretrained model's folder."""
    inner = folder / "encoder"
    return inner if new or inner.is_dir() else folder


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder: one, or its shards."""
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("model-*-of-*.safetensors"))


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
    config = _read_config(folder, family)
    _check_weights_are_safetensors(folder)
    with_pooler = pooling is Pooling.TRANSFORMERS and has_pooler(config)
    encoder = _load_encoder(folder, config, with_pooler=with_pooler, seed=seed)
    return Backbone(encoder=encoder, tokenizer=_load_tokenizer(folder, config), family=family)


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write config.json, model.safetensors (one file, fp32) and the tokenizer: equal backbones, equal bytes."""
    tokenizer = backbone.tokenizer
    # A call with truncation or padding leaves its setting in the tokenizer: it is no part of the model.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with _quiet():
        backbone.encoder.save_pretrained(folder, max_shard_size="1TB")
        tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(READABLE)


def _read_config(folder: Path, family: Family) -> PreTrainedConfig:
    path = folder / "config.json"
    settings = _read_json(path)
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in _read_json(folder / name):
            raise _problem(folder / name, "must not hold auto_map: code that comes with a model is never run")
    model_type = settings.get("model_type")
    if model_type not in MODEL_TYPES[family]:
        allowed = " or ".join(MODEL_TYPES[family])
        raise _problem(
            path,
            f"model_type must be {allowed} for the family {family}, was {model_type!r};"
            " name the model's own family in the experiment",
        )
    config_class = ENCODERS[model_type].config_class
    try:
        with _quiet():
            config: PreTrainedConfig = config_class.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise _problem(path, f"must be a config of {model_type}: {error}") from error
    return config


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _problem(path, "must be there: a model folder is a transformers checkpoint") from None
    except ValueError as error:
        raise _problem(path, f"must be JSON: {error}") from error
    if not isinstance(value, dict):
        raise _problem(path, f"must be a JSON object, was {type(value).__name__}")
    return value


def _problem(path: Path, message: str) -> DataError:
    return DataError(Problem(str(path), message))


def _check_weights_are_safetensors(folder: Path) -> None:
    if any((folder / name).is_file() for name in WEIGHTS):
        return
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    advice = (
        f", found {', '.join(pickles)}; a pickle is never read: convert it to safetensors" if pickles else ""
    )
    raise _problem(folder, f"must hold {' or '.join(WEIGHTS)}{advice}")


def _load_encoder(folder: Path, config: PreTrainedConfig, *, with_pooler: bool, seed: int) -> PreTrainedModel:
    options = {"add_pooling_layer": with_pooler} if has_pooler(config) else {}
    try:
        with _quiet():
            encoder, report = ENCODERS[config.model_type].from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are in the report, beside what is missing
                output_loading_info=True,
                **options,
            )
    except (OSError, SafetensorError) as error:
        raise _problem(folder, f"must hold whole safetensors files: {error}") from error
    new_pooler = with_pooler and "pooler.dense.weight" in report["missing_keys"]
    problems = _weight_problems(
        folder,
        missing={name for name in report["missing_keys"] if not name.startswith("pooler.")},
        unexpected=set(_encoder_names(report["unexpected_keys"], encoder)),
        mismatched={name for name, *_ in report["mismatched_keys"]},
    )
    if problems:
        raise DataError(*problems)
    if new_pooler:
        initialise(encoder.pooler, config, generator_for(seed, "pooler"))
    loaded: PreTrainedModel = encoder
    return loaded


def _encoder_names(names: Iterable[str], encoder: PreTrainedModel) -> Iterator[str]:
    """Of the names that the encoder did not take, those that claim to be the encoder's: all others are heads'."""
    parts = {name for name, _ in encoder.named_children()} - {"pooler"}
    for name in names:
        inner = name.removeprefix(f"{encoder.base_model_prefix}.")
        # position_ids were saved by old versions: they are numbers in order, and no weights
        if inner.split(".")[0] in parts and not inner.endswith(".position_ids"):
            yield inner


def _weight_problems(
    folder: Path, *, missing: set[str], unexpected: set[str], mismatched: set[str]
) -> list[Problem]:
    told = (
        ("must hold every weight of the encoder that config.json describes, lacks", missing),
        ("must hold no other encoder weights than config.json describes, also has", unexpected),
        ("must hold weights of the shapes that config.json describes, differs in", mismatched),
    )
    return [
        Problem(
            str(folder), f"{sentence} {len(names)}: {_some(names)}; config and weights must belong together"
        )
        for sentence, names in told
        if names
    ]


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown + (", …" if len(names) > 3 else "")


def _load_tokenizer(folder: Path, config: PreTrainedConfig) -> PreTrainedTokenizerFast:
    # without any of these files transformers would make an empty tokenizer
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise _problem(folder, f"must hold a tokenizer: {' or '.join(TOKENIZERS)}")
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _problem(folder, f"must hold a tokenizer that transformers reads: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise _problem(
            folder, f"must hold a fast tokenizer, was {type(tokenizer).__name__}; add tokenizer.json"
        )
    if len(tokenizer) > config.vocab_size:
        raise _problem(
            folder,
            f"must hold a tokenizer of at most {config.vocab_size} pieces (vocab_size of config.json),"
            f" had {len(tokenizer)}; tokenizer and weights must belong together",
        )
    for trace in ("is_local", "local_files_only"):  # how it was loaded would be saved with it
        tokenizer.init_kwargs.pop(trace, None)
    return tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars and reports: what matters of them becomes a DataError."""
    level, bars = _transformers_logging.get_verbosity(), _transformers_logging.is_progress_bar_enabled()
    _transformers_logging.set_verbosity_error()
    _transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        _transformers_logging.set_verbosity(level)
        if bars:
            _transformers_logging.enable_progress_bar()
