"""Canonical JSON and the digests made from it: equal content has equal bytes on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The one UTF-8 spelling of a JSON value: sorted keys, no spaces, no NaN.

    Floats are refused, since their spelling differs between writers: decimals travel as strings.

    Raises:
        TypeError: a float, or what JSON cannot hold.
    """
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def sha256_hex(content: bytes) -> str:
    """The SHA-256 of bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return sha256_hex(canonical_json(value))


def tree_digest(files: Mapping[str, str]) -> str:
    """The digest of a folder: SHA-256 of the canonical JSON of the sorted [relative path, file SHA-256] pairs."""
    return digest([[path, files[path]] for path in sorted(files)])


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"canonical JSON holds no float, got {value!r}: pass a decimal string")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
