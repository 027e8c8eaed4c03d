"""The store in a folder: a local disk, or a volume that several pods mount.

Atomic is the renaming of a whole folder: a draft is written beside, synced to disk, and renamed to its place with its
manifest in it. The draft, the artifact and what is set aside must lie on one file system, hence under one root.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

from xstilts.store import layout
from xstilts.store.backend import DamagedError
from xstilts.store.files import damage, last_write, sync_folder, sync_tree, write_synced
from xstilts.store.locks import hold_file
from xstilts.store.manifest import Contents


class Folder:
    """A backend (`xstilts.store.backend.Backend`) on a file system that renames folders atomically."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def listing(self, folder: str) -> dict[str, int]:
        """See Backend."""
        root = self._base / folder
        found: dict[str, int] = {}
        for here, folders, files in os.walk(root):
            links = [name for name in folders if (Path(here) / name).is_symlink()]
            for name in (*files, *links):
                path = Path(here) / name
                relative = path.relative_to(root).as_posix()
                if not layout.is_hidden(relative):
                    with suppress(FileNotFoundError):  # it is dropped, or moved away, just now
                        state = path.lstat()
                        found[relative] = state.st_size if stat.S_ISREG(state.st_mode) else -1
        return found

    def names(self, folder: str) -> list[str]:
        """See Backend."""
        try:
            names = [path.name for path in (self._base / folder).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if not layout.is_hidden(name))

    def read(self, path: str) -> bytes:
        """See Backend."""
        return (self._base / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """See Backend."""
        target = self._base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        write_synced(partial, content)
        partial.replace(target)
        sync_folder(target.parent)

    @property
    def work(self) -> Path:
        """See Backend. The same file system, so that a draft can be renamed to its place."""
        return self._base

    def keep(self, folder: str) -> None:
        """See Backend. Every machine that mounts the folder sees `work`."""

    def recall(self, folder: str) -> None:
        """See Backend."""

    def last_write(self, folder: str) -> datetime:
        """See Backend."""
        return last_write(self._base / folder)

    def publish(self, draft: Path, folder: str, contents: Contents) -> None:
        """See Backend."""
        target = self._base / folder
        target.parent.mkdir(parents=True, exist_ok=True)
        manifest = draft / layout.MANIFEST
        manifest.unlink(missing_ok=True)  # of an attempt that came too late for another target
        write_synced(manifest, contents.to_json())
        sync_tree(draft)
        try:
            draft.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise FileExistsError(target) from error
            raise
        sync_folder(target.parent)

    def materialise(self, folder: str, contents: Contents) -> Path:
        """See Backend. The folder itself: nothing is copied."""
        path = self._base / folder
        problem = damage(path, contents.files)
        if problem:
            raise DamagedError(problem)
        return path

    def move(self, source: str, target: str) -> bool:
        """See Backend."""
        (self._base / target).parent.mkdir(parents=True, exist_ok=True)
        try:
            (self._base / source).rename(self._base / target)
        except FileNotFoundError:
            return False
        return True

    def remove(self, folder: str) -> None:
        """See Backend."""
        doomed = f"{layout.DRAFTS}/removed.{secrets.token_hex(8)}"
        if self.move(folder, doomed):
            # what stays, of a file that a reader has open on NFS, is a draft of nobody: gc lists it again, as others may just now
            shutil.rmtree(self._base / doomed, ignore_errors=True)

    def erase(self, folder: str, paths: Collection[str]) -> None:
        """See Backend."""
        sync_folder(self._base / folder)
        for path in paths:
            (self._base / folder / path).unlink(missing_ok=True)

    def restore(self, draft: Path, folder: str, paths: Collection[str]) -> None:
        """See Backend."""
        sync_tree(draft)
        for path in paths:
            target = self._base / folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (draft / path).replace(target)
            sync_folder(target.parent)

    def lock(self, folder: str) -> AbstractContextManager[None]:
        """See Backend."""
        return hold_file(self._base / layout.LOCKS / f"{folder.replace('/', '.')}.lock")

    def committing(self, folder: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        """See Backend. Nothing: a rename is one step."""
        return nullcontext()
