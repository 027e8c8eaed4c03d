"""Where the store is: a root given, the environment's, or the experiment's own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from xstilts.errors import Problem, StoreError
from xstilts.store.backend import Backend
from xstilts.store.folder import Folder

ROOT_VARIABLE: Final = "XSTILTS_STORE"
DEFAULT_NAME: Final = "default"


def store_root(option: str | None = None, name: str | None = None) -> str:
    """The root of the store: --store, else $XSTILTS_STORE, else ./.xstilts/<spec.store.name or default>."""
    return option or os.environ.get(ROOT_VARIABLE) or str(Path(".xstilts") / (name or DEFAULT_NAME))


def backend_for(root: str, namespace: str) -> Backend:
    """The backend for a root: a folder's path, or an fsspec URL.

    Raises:
        StoreError: the root is empty, a file, or of a protocol that is not installed.
    """
    if not root:
        raise StoreError(Problem("store", "must be a folder or a URL such as s3://bucket/prefix, was empty"))
    return Folder(Path(root).expanduser().absolute() / namespace)
