"""Heads in a folder: `heads.json` says which, `heads/<task>.safetensors` holds the weights of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig

from xstilts.errors import DataError, Problem
from xstilts_trainer.models.folders import READABLE
from xstilts_trainer.models.heads import Head, HeadSpec, build_head

_SPECS = TypeAdapter(tuple[HeadSpec, ...])


def save_heads(heads: Mapping[str, Head], folder: Path) -> None:
    """Write heads.json and the weights; equal heads give equal bytes, in whatever order they come."""
    (folder / "heads").mkdir(parents=True, exist_ok=True)
    ordered = [heads[task] for task in sorted(heads)]
    for head in ordered:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
        path = weights_path(folder, head.spec.task)
        save_file(tensors, path)
        path.chmod(READABLE)
    listing = _SPECS.dump_python(tuple(head.spec for head in ordered), mode="json")
    (folder / "heads.json").write_text(
        json.dumps(listing, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def read_head_specs(folder: Path) -> tuple[HeadSpec, ...]:
    """Which heads a folder holds, in the order of their tasks' names.

    Raises:
        DataError: no heads.json, or not one.
    """
    path = folder / "heads.json"
    try:
        return _SPECS.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(Problem(str(path), "must be there: a trained model lists its heads")) from None
    except ValidationError as error:
        raise DataError(
            Problem(str(path), f"must list heads (task, type, labels, pooling): {error}")
        ) from error


def load_heads(folder: Path, specs: Sequence[HeadSpec], config: PreTrainedConfig) -> dict[str, Head]:
    """Read the weights of these heads.

    Raises:
        DataError: a file is missing, damaged, or of another shape than its head.
    """
    return {spec.task: _load_head(weights_path(folder, spec.task), spec, config) for spec in specs}


def weights_path(folder: Path, task: str) -> Path:
    """Where the weights of a task's head lie."""
    return folder / "heads" / f"{task}.safetensors"


def _load_head(path: Path, spec: HeadSpec, config: PreTrainedConfig) -> Head:
    head = build_head(spec, config)
    try:
        head.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: names or shapes differ
        raise DataError(
            Problem(str(path), f"must hold the weights of the {spec.type} head: {error}")
        ) from error
    return head
