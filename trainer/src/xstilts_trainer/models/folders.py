"""A checkpoint folder in transformers' own form: what is read, what is refused, and how it is written.

safetensors alone are read: a pickle can run code. Remote code is refused, and nothing is fetched from anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

from xstilts.errors import DataError, Problem
from xstilts.stage import Family
from xstilts_trainer.models.linear import use_onednn

MODEL_TYPES: Final[Mapping[Family, tuple[str, ...]]] = {
    Family.XLMR: ("xlm-roberta",),
    Family.MBERT: ("bert",),
    Family.MDEBERTA: ("deberta-v2",),
    Family.BERT: ("bert",),
    Family.E5: ("bert", "xlm-roberta"),  # small is a BertModel, base and large are XLM-R
    Family.MT5: ("mt5",),
}
_transformers_logging: Any = logging  # its functions carry no types
INDEX: Final = "model.safetensors.index.json"  # of a model in several files: weight -> file
WEIGHTS: Final = ("model.safetensors", INDEX)
ADAPTER: Final = "adapter_config.json"  # where it lies, transformers loads the model that it names
TOKENIZER: Final = "tokenizer_config.json"
_OPENED: Final = (
    "vocab",
    "merges",
    "gguf_file",
    "fast_tokenizer_files",
)  # settings that transformers opens as files
_SHARD: Final = re.compile(r"[\w-][\w.-]*\.safetensors")
READABLE: Final = 0o644  # safetensors writes files that their owner alone may read; a store has other readers
TOKENIZERS: Final = ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model")
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


@dataclass(frozen=True)
class Loaded:
    """A model, and the names of weights that the file lacks, has beside, or has in another shape."""

    model: PreTrainedModel
    missing: frozenset[str]
    unexpected: frozenset[str]
    mismatched: frozenset[str]


def encoder_folder(folder: Path, *, new: bool = False) -> Path:
    """Where the checkpoint lies: `encoder/` in what training made, the root in a pretrained model's folder."""
    inner = folder / "encoder"
    return inner if new or inner.is_dir() else folder


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder: one, or its shards."""
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("model-*-of-*.safetensors"))


def read_config(folder: Path, family: Family, classes: Mapping[str, Any]) -> PreTrainedConfig:
    """The config of a checkpoint of this family; `classes` are transformers' models by their type.

    Raises:
        DataError: no config, one of another family's model, or remote code.
    """
    path = folder / "config.json"
    settings = _read_json(path)
    for name in ("config.json", TOKENIZER):
        if (folder / name).is_file() and "auto_map" in _read_json(folder / name):
            raise problem(folder / name, "must not hold auto_map: code that comes with a model is never run")
    if (folder / TOKENIZER).is_file():
        _check_tokenizer(folder / TOKENIZER)
    model_type = settings.get("model_type")
    if model_type not in MODEL_TYPES[family]:
        allowed = " or ".join(MODEL_TYPES[family])
        raise problem(
            path,
            f"model_type must be {allowed} for the family {family}, was {model_type!r};"
            " name the model's own family in the experiment",
        )
    config_class = classes[model_type].config_class
    try:
        with quiet():
            config: PreTrainedConfig = config_class.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise problem(path, f"must be a config of {model_type}: {error}") from error
    return config


def _check_tokenizer(path: Path) -> None:
    """See that a tokenizer's settings name no files: those that a tokenizer needs are known by their own names."""
    settings = _read_json(path)
    named = [name for name in _OPENED if name in settings]
    if named:
        raise problem(
            path, f"must not hold {' or '.join(named)}: its folder's own files alone are read; leave it out"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise problem(path, "must be there: a model folder is a transformers checkpoint") from None
    except ValueError as error:
        raise problem(path, f"must be JSON: {error}") from error
    if not isinstance(value, dict):
        raise problem(path, f"must be a JSON object, was {type(value).__name__}")
    return value


def check_weights(folder: Path) -> None:
    """See that a folder holds weights that can be read.

    Raises:
        DataError: no safetensors file, one that is an adapter of another model, or an index that names what is none, or
            lies elsewhere.
    """
    if (folder / ADAPTER).is_file():
        raise problem(
            folder,
            f"{ADAPTER} must not be there: it sends to another folder; merge the adapter into its model",
        )
    if (folder / INDEX).is_file():
        _check_index(folder / INDEX)
    if any((folder / name).is_file() for name in WEIGHTS):
        return
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    advice = (
        f", found {', '.join(pickles)}; a pickle is never read: convert it to safetensors" if pickles else ""
    )
    raise problem(folder, f"must hold {' or '.join(WEIGHTS)}{advice}")


def _check_index(index: Path) -> None:
    """Transformers opens whatever an index names: a pickle as a pickle, and a path that leads out of the folder too."""
    shards = _read_json(index).get("weight_map")
    named = shards.values() if isinstance(shards, dict) else [shards]
    wrong = sorted({str(one) for one in named if not isinstance(one, str) or _SHARD.fullmatch(one) is None})
    if wrong:
        raise problem(index, f"weight_map must name safetensors files of its own folder, named {wrong[0]!r}")


def load_weights(folder: Path, model_class: Any, config: PreTrainedConfig, **options: bool) -> Loaded:
    """A model of transformers' class with the folder's weights, in fp32 whatever the file holds.

    Raises:
        DataError: a damaged file.
    """
    try:
        with quiet():
            model, report = model_class.from_pretrained(
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
        raise problem(folder, f"must hold whole safetensors files: {error}") from error
    use_onednn(model)
    return Loaded(
        model,
        missing=frozenset(report["missing_keys"]),
        unexpected=frozenset(report["unexpected_keys"]),
        mismatched=frozenset(name for name, *_ in report["mismatched_keys"]),
    )


def check_names(
    folder: Path,
    what: str,
    *,
    missing: AbstractSet[str],
    unexpected: AbstractSet[str],
    mismatched: AbstractSet[str],
) -> None:
    """See that the weights of `what` are those that the config describes.

    Raises:
        DataError: some are missing, not described, or of another shape.
    """
    told = (
        (f"must hold every weight of the {what} that config.json describes, lacks", missing),
        (f"must hold no other {what} weights than config.json describes, also has", unexpected),
        ("must hold weights of the shapes that config.json describes, differs in", mismatched),
    )
    problems = [
        Problem(
            str(folder), f"{sentence} {len(names)}: {_some(names)}; config and weights must belong together"
        )
        for sentence, names in told
        if names
    ]
    if problems:
        raise DataError(*problems)


def _some(names: AbstractSet[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown + (", …" if len(names) > 3 else "")


def load_tokenizer(folder: Path, config: PreTrainedConfig) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a checkpoint.

    Raises:
        DataError: there is none, or one of another model.
    """
    # without any of these files transformers would make an empty tokenizer
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise problem(folder, f"must hold a tokenizer: {' or '.join(TOKENIZERS)}")
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise problem(folder, f"must hold a tokenizer that transformers reads: {error}") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise problem(
            folder, f"must hold a fast tokenizer, was {type(tokenizer).__name__}; add tokenizer.json"
        )
    if len(tokenizer) > config.vocab_size:
        raise problem(
            folder,
            f"must hold a tokenizer of at most {config.vocab_size} pieces (vocab_size of config.json),"
            f" had {len(tokenizer)}; tokenizer and weights must belong together",
        )
    for trace in ("is_local", "local_files_only"):  # how it was loaded would be saved with it
        tokenizer.init_kwargs.pop(trace, None)
    return tokenizer


def save_checkpoint_folder(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write config.json, model.safetensors (one file, fp32) and the tokenizer: equal models, equal bytes."""
    # A call with truncation or padding leaves its setting in the tokenizer: it is no part of the model.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with quiet():
        model.save_pretrained(folder, max_shard_size="1TB")
        tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(READABLE)


def problem(path: Path, message: str) -> DataError:
    """A problem of a file or folder."""
    return DataError(Problem(str(path), message))


@contextmanager
def quiet() -> Iterator[None]:
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
