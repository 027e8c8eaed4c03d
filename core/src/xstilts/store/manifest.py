"""Manifests: what a stored folder holds, written last, so that a folder with a manifest is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from xstilts.canonical import tree_digest
from xstilts.errors import Problem, StoreError
from xstilts.model import Model
from xstilts.stage import Kind, Stage
from xstilts.store.layout import path_problem

MANIFEST_SCHEMA: Final = "xstilts.dev/manifest/v1"
INPUT_SCHEMA: Final = "xstilts.dev/input/v1"
_CENTURY: Final = 100 * 365 * 86_400  # seconds


class FileEntry(Model):
    """A stored file: its SHA-256 in hexadecimal digits and its size in bytes."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Contents(Model):
    """The files of a stored folder and the digest made of their hashes; the time is no part of it."""

    files: dict[str, FileEntry] = Field(min_length=1)
    outputs_digest: str
    created_at: datetime

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for path in self.files:
            problem = path_problem(path)
            if problem:
                raise ValueError(f"files: {path!r} {problem}")
        if self.outputs_digest != digest_of(self.files):
            raise ValueError("outputsDigest must be the digest of files")
        return self

    def to_json(self) -> bytes:
        """JSON for people and programs, keys sorted."""
        document = self.model_dump(mode="json")
        return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False).encode()


class Manifest(Contents):
    """The manifest of an artifact. `environment` is free JSON: versions, hardware, seed, data digests, seconds."""

    schema_: Literal["xstilts.dev/manifest/v1"] = Field(default=MANIFEST_SCHEMA, alias="schema")
    key: str
    kind: Kind
    stage: Stage
    environment: dict[str, Any]

    @property
    def gpu_seconds(self) -> int:
        """The GPU-seconds of the run that has made it; 0 where it says none."""
        seconds, hardware = self.environment.get("seconds"), self.environment.get("hardware")
        gpus = hardware.get("gpus") if isinstance(hardware, dict) else None
        if not isinstance(seconds, int | float) or not isinstance(gpus, int) or not 0 <= seconds < _CENTURY:
            return 0
        return round(seconds * gpus)

    @classmethod
    def of(cls, stage: Stage, files: Mapping[str, FileEntry], environment: Mapping[str, Any]) -> Manifest:
        """The manifest of what a stage has just written."""
        return cls(
            key=stage.key,
            kind=stage.kind,
            stage=stage,
            files=dict(files),
            outputs_digest=digest_of(files),
            environment=dict(environment),
            created_at=datetime.now(UTC),
        )


class InputManifest(Contents):
    """The manifest of an input: its outputsDigest is the digest in `store://NAME@sha256:DIGEST`."""

    schema_: Literal["xstilts.dev/input/v1"] = Field(default=INPUT_SCHEMA, alias="schema")
    name: str

    @classmethod
    def of(cls, name: str, files: Mapping[str, FileEntry]) -> InputManifest:
        """The manifest of a folder that is put now."""
        return cls(
            name=name, files=dict(files), outputs_digest=digest_of(files), created_at=datetime.now(UTC)
        )


def digest_of(files: Mapping[str, FileEntry]) -> str:
    """The outputs digest: of the sorted [relative path, SHA-256] pairs and of nothing else."""
    return tree_digest({path: entry.sha256 for path, entry in files.items()})


def read_manifest(text: bytes, key: str) -> Manifest | None:
    """The manifest of an artifact, or None where it is no whole manifest or another key's.

    Raises:
        StoreError: a later version of xstilts has written it.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        _refuse_later(text, MANIFEST_SCHEMA)
        return None
    return manifest if manifest.key == manifest.stage.key == key else None


def read_input_manifest(text: bytes, name: str, digest: str) -> InputManifest | None:
    """The manifest of an input, or None where it is no whole manifest or another input's.

    Raises:
        StoreError: a later version of xstilts has written it.
    """
    try:
        manifest = InputManifest.model_validate_json(text)
    except ValidationError:
        _refuse_later(text, INPUT_SCHEMA)
        return None
    return manifest if (manifest.name, manifest.outputs_digest) == (name, digest) else None


def _refuse_later(text: bytes, known: str) -> None:
    """What a later version has written is neither damaged nor unneeded: this one must leave it where it is."""
    try:
        schema = str(json.loads(text)["schema"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return
    name, version = known.rsplit("v", 1)
    later = schema.removeprefix(f"{name}v")
    if later != schema and later.isdecimal() and int(later) > int(version):
        raise StoreError(
            Problem(
                "manifest.json",
                f"must be of schema {known}, was {schema}: a later version of xstilts has written it; use that one",
            )
        )
