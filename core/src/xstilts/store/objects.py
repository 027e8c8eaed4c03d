"""An object store through fsspec: the few operations that the store needs, each one request or a plain loop of them.

What is asked of the service: a listing shows what was written before it, and an object can be created on condition that
there is none yet (S3 and what speaks like it since 2024, Google Cloud Storage).
"""

from __future__ import annotations

import importlib
from pathlib import Path

from fsspec import AbstractFileSystem


class Objects:
    """The objects under one prefix. Paths are relative to it."""

    def __init__(self, files: AbstractFileSystem, base: str) -> None:
        self._files = files
        self._base = base.rstrip("/")
        self.failures = _failures()

    def listing(self, folder: str) -> dict[str, int]:
        """Relative path -> size in bytes of every object under a folder."""
        root = self._path(folder) + "/"
        found = self._files.find(root, detail=True)
        return {
            path.removeprefix(root): int(info["size"])
            for path, info in found.items()
            if path.startswith(root)
        }

    def names(self, folder: str) -> list[str]:
        """The names directly under a folder, sorted; none where nothing is."""
        try:
            found = self._files.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def read(self, path: str) -> bytes:
        """An object's bytes; FileNotFoundError where there is none."""
        content: bytes = self._files.cat_file(self._path(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write an object, over what was there."""
        self._files.pipe_file(self._path(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Write an object that was not there; False, and nothing written, where it was."""
        try:
            self._files.pipe_file(self._path(path), content, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if "ConditionalRequestConflict" in str(error):  # S3: another writer at the same moment
                return False
            raise
        return True

    def upload(self, source: Path, path: str) -> None:
        """Write a local file's bytes as an object that was not there; FileExistsError where it was."""
        self._files.put_file(str(source), self._path(path), mode="create")

    def replace(self, source: Path, path: str) -> None:
        """Write a local file's bytes as an object, over what was there."""
        self._files.put_file(str(source), self._path(path))

    def download(self, path: str, target: Path) -> None:
        """Write an object's bytes to a local file; FileNotFoundError where there is none."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files.get_file(self._path(path), str(target))

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store."""
        self._files.cp_file(self._path(source), self._path(target))

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        try:
            self._files.rm_file(self._path(path))
        except FileNotFoundError:
            return

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base


def _failures() -> tuple[type[Exception], ...]:
    """What an object store raises when it cannot be reached: s3fs passes botocore's own errors on as they are."""
    try:
        botocore = importlib.import_module("botocore.exceptions")
    except ModuleNotFoundError:
        return (OSError,)
    return (OSError, botocore.BotoCoreError)
