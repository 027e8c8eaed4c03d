"""Checkpoints of a running stage: written atomically, checked when read, the last two kept.

A checkpoint is `<step>.safetensors` and, written after it, `<step>.json` with its SHA-256 and the state that is no
tensor: a checkpoint without its JSON, with a damaged one, or with another hash, does not exist.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xstilts.errors import Problem, UnavailableError

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands after `step` steps. `state` is JSON."""

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, durable when this returns, and drop all but the last two.

    What a killed save has left goes first: on a disk that it has filled there would be no room for any other.

    Raises:
        UnavailableError: it cannot be written (the disk is full); those of before stay.
    """
    try:
        _save(folder, checkpoint)
    except (OSError, SafetensorError) as error:
        drop_checkpoints(folder, kept=KEPT)
        size = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
        raise UnavailableError(
            Problem(
                str(folder), f"must take a checkpoint of {size:,} bytes, does not: {error}; make room there"
            )
        ) from error


def _save(folder: Path, checkpoint: Checkpoint) -> None:
    drop_checkpoints(folder, kept=KEPT)
    weights = folder / f"{checkpoint.step:08}.safetensors"
    tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    _write_atomically(weights, lambda path: save_file(tensors, path))
    state = {"sha256": _sha256(weights), "step": checkpoint.step, "state": checkpoint.state}
    text = json.dumps(state, sort_keys=True)
    _write_atomically(weights.with_suffix(".json"), lambda path: path.write_text(text, encoding="utf-8"))
    drop_checkpoints(folder, kept=KEPT)


def drop_checkpoints(folder: Path, *, kept: int = 0) -> bool:
    """Drop all but the last `kept`, and what saves that were killed have left; returns whether there was anything to drop."""
    found = sorted(folder.glob("*.json"))
    old = found[: max(0, len(found) - kept)]
    for path in old:
        path.unlink()
    left = [path for path in folder.glob("[0-9]*.safetensors") if not path.with_suffix(".json").exists()]
    left += folder.glob(".[0-9]*.tmp")
    for path in left:
        path.unlink()
    return bool(old or left)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None where there is none."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        record = _read(path)
        weights = path.with_suffix(".safetensors")
        if record is not None and weights.is_file() and _sha256(weights) == record["sha256"]:
            return Checkpoint(record["step"], load_file(weights), record["state"])
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """What a checkpoint's JSON says; None where it is damaged: it is written whole, but disks lose what they hold."""
    try:
        record = json.loads(path.read_bytes())
    except ValueError:
        return None
    return record if isinstance(record, dict) and record.keys() == {"sha256", "step", "state"} else None


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
