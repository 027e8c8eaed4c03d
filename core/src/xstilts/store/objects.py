"""An object store through fsspec: the few operations that the store needs, each one request or a plain loop of them.

What is asked of the service: a listing shows what was written before it, and an object can be created on condition that
there is none yet (S3 and what speaks like it since 2024, Google Cloud Storage).

Every operation raises UnavailableError where the service does not answer, or refuses.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fsspec import AbstractFileSystem

from xstilts.errors import Problem, UnavailableError

_DISK_IS_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_DOWNLOADS: Final = 3  # of an object whose bytes do not all come


class Objects:
    """The objects under one prefix. Paths are relative to it; `root` is what people call the place."""

    def __init__(self, files: AbstractFileSystem, base: str, root: str) -> None:
        self._files = files
        self._base = base.rstrip("/")
        self._root = root
        self._cut_off = _exceptions("aiohttp", "ClientPayloadError") + _exceptions(
            "botocore.exceptions", "ReadTimeoutError"
        )
        # what s3fs and gcsfs raise when a service cannot be reached: they pass their libraries' own errors on as they are
        self._failures: tuple[type[Exception], ...] = (
            OSError,
            *_exceptions("botocore.exceptions", "BotoCoreError"),
            *_exceptions("aiohttp", "ClientError"),
        )

    def has_bucket(self) -> bool:
        """Whether the bucket is there, where the service has such."""
        bucket = self._base.partition("/")[0]
        try:
            with self._request(FileNotFoundError):
                return not bucket or bool(self._files.info(bucket))
        except FileNotFoundError:
            return False

    def listing(self, folder: str) -> dict[str, int]:
        """Relative path -> size in bytes of every object under a folder."""
        return {path: int(info["size"]) for path, info in self._found(folder).items()}

    def times(self, folder: str) -> list[datetime | None]:
        """When each object under a folder was written last; None for one that is gone, or of which the service does not say."""
        # S3's listing has the times; of others each object is asked for its own
        listed = {path: info.get("LastModified") for path, info in self._found(folder).items()}
        return [time or self._modified(f"{folder}/{path}") for path, time in listed.items()]

    def names(self, folder: str) -> list[str]:
        """The names directly under a folder, sorted; none where nothing is."""
        here = self._path(folder)
        try:
            with self._request(FileNotFoundError):
                found = self._files.ls(here, detail=False)
        except FileNotFoundError:
            return []
        below = {path.rstrip("/") for path in found} - {here}  # some tools make an object of a folder, too
        return sorted(path.rsplit("/", 1)[-1] for path in below)

    def read(self, path: str) -> bytes:
        """An object's bytes; FileNotFoundError where there is none."""
        with self._request(FileNotFoundError):
            content: bytes = self._files.cat_file(self._path(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write an object, over what was there."""
        with self._request():
            self._files.pipe_file(self._path(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """Write an object that was not there; False, and nothing written, where it was."""
        try:
            with self._request(FileExistsError):
                self._files.pipe_file(self._path(path), content, mode="create")
        except FileExistsError:
            return False
        except UnavailableError as error:
            if "ConditionalRequestConflict" in str(error):  # S3: another writer at the same moment
                return False
            raise
        return True

    def upload(self, source: Path, path: str) -> None:
        """Write a local file's bytes as an object that was not there; FileExistsError where it was."""
        with self._request(FileExistsError):
            self._files.put_file(str(source), self._path(path), mode="create")

    def replace(self, source: Path, path: str) -> None:
        """Write a local file's bytes as an object, over what was there."""
        with self._request():
            self._files.put_file(str(source), self._path(path))

    def download(self, path: str, target: Path) -> None:
        """Write an object's bytes to a local file; FileNotFoundError where there is none.

        An answer that was cut off is asked for again: s3fs does so for small objects, but not for the parts of large ones.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._request(FileNotFoundError):
            for left in reversed(range(_DOWNLOADS)):
                try:
                    self._files.get_file(self._path(path), str(target))
                    break
                except self._cut_off:
                    if not left:
                        raise

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store; FileNotFoundError where there is none."""
        with self._request(FileNotFoundError):
            self._files.cp_file(self._path(source), self._path(target))

    def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        try:
            with self._request(FileNotFoundError):
                self._files.rm_file(self._path(path))
        except FileNotFoundError:
            return

    def _modified(self, path: str) -> datetime | None:
        try:
            with self._request(FileNotFoundError):
                time: datetime = self._files.modified(self._path(path))
        except (FileNotFoundError, NotImplementedError):
            return None
        return time.astimezone(UTC)

    def _found(self, folder: str) -> dict[str, dict[str, Any]]:
        """Relative path -> what a listing says of every object under a folder; those that stand for a folder are left out."""
        root = self._path(folder) + "/"
        with self._request(FileNotFoundError):
            found = self._files.find(root, detail=True)
        below = {path.removeprefix(root): info for path, info in found.items() if path.startswith(root)}
        return {path: info for path, info in below.items() if path and not path.endswith("/")}

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    @contextmanager
    def _request(self, *answers: type[OSError]) -> Iterator[None]:
        """What the service did not do becomes an UnavailableError, but for the errors that are an answer.

        What this machine's own files refuse stays as it is: it names the file, or the disk is full.
        """
        try:
            yield
        except answers:
            raise
        except self._failures as error:
            if isinstance(error, OSError) and (error.filename or error.errno in _DISK_IS_FULL):
                raise
            raise UnavailableError(
                Problem(
                    "store",
                    f"must be reachable, {self._root} is not: {str(error) or type(error).__name__}",
                )
            ) from error


def _exceptions(module: str, name: str) -> tuple[type[Exception], ...]:
    """An exception of a library; none where it is not installed."""
    try:
        return (getattr(importlib.import_module(module), name),)
    except ModuleNotFoundError:
        return ()
