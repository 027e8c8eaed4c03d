"""Where the store is: a root given, the environment's, or the experiment's own folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import fsspec

from xstilts.errors import Problem, StoreError
from xstilts.store import layout
from xstilts.store.backend import Backend
from xstilts.store.bucket import Bucket
from xstilts.store.folder import Folder
from xstilts.store.locks import LeaseTimes
from xstilts.store.objects import Objects

ROOT_VARIABLE: Final = "XSTILTS_STORE"
DEFAULT_NAME: Final = "default"
# s3fs holds each part of a large file (50 MiB) twice while it uploads it: so many fit into a pod of 1 GiB (`xstilts.cluster.stores`).
_CLIENT: Final[Mapping[str, Mapping[str, Any]]] = {
    "s3": {"max_concurrency": 4},
    "s3a": {"max_concurrency": 4},
}


def store_root(option: str | None = None, name: str | None = None) -> str:
    """The root of the store: --store, else $XSTILTS_STORE, else ./.xstilts/<spec.store.name or default>.

    Raises:
        StoreError: the name cannot be part of a path.
    """
    if name is not None and layout.NAMESPACE.fullmatch(name) is None:
        raise StoreError(
            Problem("spec.store.name", f"must be a name of lower-case letters, digits and '-', was {name!r}")
        )
    return option or os.environ.get(ROOT_VARIABLE) or str(Path(".xstilts") / (name or DEFAULT_NAME))


def backend_for(root: str, namespace: str, times: LeaseTimes | None = None) -> Backend:
    """The backend for a root: a folder's path, or an fsspec URL; `times` are those of leases, other than usual.

    Raises:
        StoreError: the root is empty, a file, or of a protocol that is not installed.
        UnavailableError: the service does not answer, or not to us.
    """
    if not root:
        raise StoreError(Problem("store", "must be a folder or a URL such as s3://bucket/prefix, was empty"))
    if "://" not in root:
        return Folder(_folder(Path(root)) / namespace)
    if root.startswith("file://"):
        return Folder(_folder(Path(root.removeprefix("file://"))) / namespace)
    return _bucket(root, namespace, times or LeaseTimes())


def cache_root() -> Path:
    """Where copies of what lies in an object store are kept: ${XDG_CACHE_HOME:-~/.cache}/xstilts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xstilts"


def _folder(path: Path) -> Path:
    try:
        folder = path.expanduser().absolute()
    except RuntimeError as error:  # the home of a user that is not there
        raise StoreError(Problem("store", f"must be a folder, was {str(path)!r}: {error}")) from None
    if folder.exists() and not folder.is_dir():
        raise StoreError(Problem("store", f"must be a folder, {folder} is a file"))
    return folder


def _bucket(root: str, namespace: str, times: LeaseTimes) -> Backend:
    protocol = root.partition("://")[0]
    try:
        # No cached listings: other processes write here too.
        files, base = fsspec.url_to_fs(root, use_listings_cache=False, **_CLIENT.get(protocol, {}))
    except (ValueError, ImportError) as error:
        raise StoreError(
            Problem(
                "store",
                f"must be a folder or a URL of a known protocol, {protocol}:// cannot be used: {error}",
            )
        ) from error
    objects = Objects(files, f"{base.rstrip('/')}/{namespace}", root)
    if not objects.has_bucket():
        bucket = base.partition("/")[0]
        raise StoreError(Problem("store", f"must be in a bucket that is there, {bucket!r} is not"))
    objects.names("")  # it must answer us, too
    return Bucket(objects, f"{root.rstrip('/')}/{namespace}", cache_root(), times)
