"""Images of one static program each, written as an OCI archive: containerd imports them, and no builder is needed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OCI = "application/vnd.oci.image"


def write_program_image(
    archive: Path, name: str, program: Path, *arguments: str, user: str = "65532"
) -> None:
    """Write an archive with the image `name` that holds `program` alone and starts it with `arguments`."""
    content = program.read_bytes()
    layer = _tar([(program.name, content, 0o755)])
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}", *arguments], "User": user},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(f"{_OCI}.config.v1+json", config),
            "layers": [_descriptor(f"{_OCI}.layer.v1.tar", layer)],
        }
    )
    named = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = _json(
        {
            "schemaVersion": 2,
            "manifests": [{**_descriptor(f"{_OCI}.manifest.v1+json", manifest), "annotations": named}],
        }
    )
    blobs = [(f"blobs/sha256/{_digest(blob)[7:]}", blob, 0o644) for blob in (layer, config, manifest)]
    layout = ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}', 0o644)
    archive.write_bytes(_tar([layout, ("index.json", index, 0o644), *blobs]))


def _tar(files: Sequence[tuple[str, bytes, int]]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content, mode in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
