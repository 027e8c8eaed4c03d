"""What the store asks of the place where it keeps things: a folder or an object store."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from xstilts.store.manifest import Contents


class DamagedError(Exception):
    """The files are not those that their manifest names; the message says which and how."""


class Backend(Protocol):
    """Paths are relative to `<root>/<namespace>/`, with `/` between their parts, and already checked (`layout`)."""

    def listing(self, folder: str) -> dict[str, int]:
        """Relative path -> size in bytes of everything in a folder but hidden files; -1 for what is no plain file."""

    def names(self, folder: str) -> list[str]:
        """The names directly in a folder but hidden ones, sorted; none where there is no such folder."""

    def read(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            FileNotFoundError: there is none.
        """

    def write(self, path: str, content: bytes) -> None:
        """Write a small file, over what was there; a reader sees the old bytes or the new ones."""

    @property
    def work(self) -> Path:
        """The local folder for drafts and checkpoints; it survives a crash."""

    def keep(self, folder: str) -> None:
        """Make what is kept of a folder of `work` equal to what is in it now, so that another machine can recall it.

        Raises:
            UnavailableError: the place does not answer.
        """

    def recall(self, folder: str) -> None:
        """Bring into a folder of `work` what was kept of it and is not there: nothing where machines share `work`."""

    def last_write(self, folder: str) -> datetime | None:
        """When something was last written in a folder of `work`, here or where it is kept; None where that is not known."""

    def publish(self, draft: Path, folder: str, contents: Contents) -> None:
        """Bring a draft's files to a folder, and their manifest last; all or, for a reader, nothing.

        Raises:
            FileExistsError: the folder holds something already; what it held is unharmed.
        """

    def materialise(self, folder: str, contents: Contents) -> Path:
        """A local folder that holds the files, every hash verified.

        Raises:
            DamagedError: a file is missing or another one.
        """

    def move(self, source: str, target: str) -> bool:
        """Move a folder; False where it is not there (any more)."""

    def remove(self, folder: str) -> None:
        """Remove a folder, so that it is never taken for whole on the way."""

    def erase(self, folder: str, paths: Collection[str]) -> None:
        """Delete files of a folder, those that are there; after all that was written there before."""

    def restore(self, draft: Path, folder: str, paths: Collection[str]) -> None:
        """Bring files of a draft to a folder, over what is there; each is there whole or not."""

    def lock(self, folder: str) -> AbstractContextManager[None]:
        """Wait until no other process holds the folder's lock, then hold it."""

    def committing(self, folder: str) -> AbstractContextManager[None]:
        """What must be held while a folder is published: the lock, where publishing is many steps."""
