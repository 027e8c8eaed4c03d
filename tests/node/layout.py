"""The way of an image from buildah's storage to the node: what others have made once a lock, our own code as one layer on it.

buildah can only push whole images, and 6 GB take minutes to compress. So the stage `dependencies` of a Dockerfile is pushed
once, and an image of the working tree is put together here: its layers, one with the files that the last stage copies, and
the configuration that buildah has given the image.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node import containerd, place
from node.buildah import buildah
from node.commands import NodeError

UPPER = (
    "licenses",
    "opt/xstilts",
)  # what the last stage copies: tests/images holds it against the Dockerfiles
_LAYER = "application/vnd.oci.image.layer.v1.tar"

Object = dict[str, Any]


def put_dependencies(local: str, name: str) -> None:
    """Put buildah's image `local` on the node as `name`, unless it is there.

    Raises:
        NodeError: buildah or the node refuse.
    """
    if name in containerd.images():
        return
    with tempfile.TemporaryDirectory(prefix="archive-", dir=place.HOME) as temporary:
        archive = Path(temporary) / "image.tar"
        buildah("push", local, f"oci-archive:{archive}:{name}")
        containerd.import_archive(archive)


def put_on(dependencies: str, local: str, name: str) -> None:
    """Put buildah's image `local` on the node as `name`, as one layer on the image `dependencies` of the node.

    Raises:
        NodeError: buildah or the node refuse.
    """
    below = json.loads(containerd.content(containerd.target(dependencies)))
    layers = json.loads(containerd.content(below["config"]["digest"]))["rootfs"]["diff_ids"]
    said: Object = json.loads(buildah("inspect", "--type=image", local))["OCIv1"]
    with _upper_layer(local) as layer:
        own = {"mediaType": _LAYER, "digest": _digest(layer.read_bytes()), "size": layer.stat().st_size}
        config = json.dumps(
            {
                **{key: said[key] for key in ("architecture", "os", "config")},
                "rootfs": {"type": "layers", "diff_ids": [*layers, own["digest"]]},
            }
        ).encode()
        manifest = json.dumps(
            {
                **below,
                "config": {**below["config"], "digest": _digest(config), "size": len(config)},
                "layers": [*below["layers"], own],
            }
        ).encode()
        described = {
            "mediaType": below["mediaType"],
            "digest": _digest(manifest),
            "size": len(manifest),
            "annotations": {"io.containerd.image.name": name},
        }
        _import(
            {
                "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
                "index.json": json.dumps({"schemaVersion": 2, "manifests": [described]}).encode(),
                **{_blob(content): content for content in (config, manifest, layer.read_bytes())},
            }
        )


@contextmanager
def _upper_layer(local: str) -> Iterator[Path]:
    """A tar file of the image's own files; the same files are the same bytes."""
    container = buildah("from", "--pull-never", local).strip()
    try:
        root = Path(buildah("mount", container).strip())
        with tempfile.NamedTemporaryFile(prefix="layer-", dir=place.HOME) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for name in UPPER:
                    for path in (root / name, *sorted((root / name).rglob("*"))):
                        tar.add(path, path.relative_to(root), recursive=False)
            file.flush()
            yield Path(file.name)
    finally:
        buildah("rm", container)


def _import(files: Mapping[str, bytes]) -> None:
    """Have containerd take in an archive of these files; what it misses of the manifest's layers the node has already."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    done = subprocess.run(
        containerd.import_argv("-"), input=written.getvalue(), capture_output=True, check=False
    )
    if done.returncode:
        raise NodeError(f"containerd does not take the image:\n{done.stderr.decode(errors='replace')}")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(content: bytes) -> str:
    return f"blobs/{_digest(content).replace(':', '/')}"
