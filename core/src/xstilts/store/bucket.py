"""The store in an object store (S3, Google Cloud Storage): uploads, cached copies, leases.

Nothing can be renamed there. An artifact's files are uploaded first and its manifest last: without it they are no
artifact. Every PUT is create-only, so that a writer that was frozen and has lost its lease cannot write over what the
next one has finished. Readers get a copy in the user's cache, found by the digest of what it holds.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path

from xstilts.canonical import sha256_hex
from xstilts.store import layout
from xstilts.store.backend import DamagedError
from xstilts.store.files import damage, last_write
from xstilts.store.locks import Leases, LeaseTimes, hold_file
from xstilts.store.manifest import Contents
from xstilts.store.objects import Objects


class Bucket:
    """A backend (`xstilts.store.backend.Backend`) on an object store; `identity` is the root's and namespace's name."""

    def __init__(self, objects: Objects, identity: str, cache: Path, times: LeaseTimes) -> None:
        self._objects = objects
        self._leases = Leases(objects, layout.LOCKS, times)
        self._copies = cache / "store"
        self._work = cache / "work" / sha256_hex(identity.encode())[:16]
        self._kept: dict[str, tuple[int, int]] = {}  # path -> size and time of the file that was uploaded

    def listing(self, folder: str) -> dict[str, int]:
        """See Backend."""
        sizes = self._objects.listing(folder)
        return {path: size for path, size in sizes.items() if not layout.is_hidden(path)}

    def names(self, folder: str) -> list[str]:
        """See Backend."""
        return [name for name in self._objects.names(folder) if not layout.is_hidden(name)]

    def read(self, path: str) -> bytes:
        """See Backend."""
        return self._objects.read(path)

    def write(self, path: str, content: bytes) -> None:
        """See Backend."""
        self._objects.write(path, content)

    @property
    def work(self) -> Path:
        """See Backend. It lies in this machine's cache."""
        return self._work

    def keep(self, folder: str) -> None:
        """See Backend. A JSON file goes last: what it describes is there before it."""
        files = {path.name: path for path in _visible(self._work / folder)}
        for name in sorted(files, key=lambda name: (name.endswith(".json"), name)):
            path, state = f"{folder}/{name}", files[name].stat()
            if self._kept.get(path) != (state.st_size, state.st_mtime_ns):
                self._objects.replace(files[name], path)
                self._kept[path] = (state.st_size, state.st_mtime_ns)
        for name in self._objects.listing(folder).keys() - files.keys():
            self._objects.delete(f"{folder}/{name}")

    def recall(self, folder: str) -> None:
        """See Backend."""
        local = self._work / folder
        local.mkdir(parents=True, exist_ok=True)
        here = {path.name for path in _visible(local)}
        with tempfile.TemporaryDirectory(dir=local, prefix=".download-") as scratch:
            for name in sorted(self._objects.names(folder)):
                if name not in here:
                    with suppress(FileNotFoundError):  # another process has newer ones
                        self._objects.download(f"{folder}/{name}", Path(scratch, name))
                        Path(scratch, name).replace(local / name)

    def last_write(self, folder: str) -> datetime | None:
        """See Backend. Another machine may train from what is kept, whatever lies here."""
        local = self._work / folder
        times = self._objects.times(folder)
        times += [last_write(local)] if local.is_dir() else []
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    def publish(self, draft: Path, folder: str, contents: Contents) -> None:
        """See Backend."""
        for relative in contents.files:
            self._objects.upload(draft / relative, f"{folder}/{relative}")
        self._leases.check(_lease(folder))
        if not self._objects.create(f"{folder}/{layout.MANIFEST}", contents.to_json()):
            raise FileExistsError(folder)

    def materialise(self, folder: str, contents: Contents) -> Path:
        """See Backend. A copy in the cache, whose files are hashed again whenever another process asks for it.

        Of several processes one makes it, and the others wait.
        """
        copy = self._copies / contents.outputs_digest
        if damage(copy, contents.files) is None:
            return copy
        with hold_file(copy.with_name(f".{copy.name}.lock")):
            if damage(copy, contents.files) is None:
                return copy
            downloads = f".{copy.name}.download-"
            for left in self._copies.glob(f"{downloads}*"):  # by processes that were killed: the lock is ours
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=self._copies, prefix=downloads) as scratch:
                fresh = Path(scratch) / "fresh"
                for relative in contents.files:
                    self._download(f"{folder}/{relative}", fresh / relative)
                problem = damage(fresh, contents.files)
                if problem:
                    raise DamagedError(problem)
                _replace(copy, fresh, Path(scratch) / "stale")
        return copy

    def _download(self, path: str, target: Path) -> None:
        try:
            self._objects.download(path, target)
        except FileNotFoundError as error:
            raise DamagedError(f"{path} is gone") from error

    def move(self, source: str, target: str) -> bool:
        """See Backend. The manifest goes first: what is left without one is no artifact."""
        self._leases.check(_lease(source))
        moved = False
        for path in self._manifest_first(source):
            with suppress(FileNotFoundError):  # another process moves it, too
                self._objects.copy(f"{source}/{path}", f"{target}/{path}")
                self._objects.delete(f"{source}/{path}")
                moved = True
        return moved

    def remove(self, folder: str) -> None:
        """See Backend."""
        for path in self._manifest_first(folder):
            self._objects.delete(f"{folder}/{path}")

    def erase(self, folder: str, paths: Collection[str]) -> None:
        """See Backend."""
        for path in paths:
            self._objects.delete(f"{folder}/{path}")

    def restore(self, draft: Path, folder: str, paths: Collection[str]) -> None:
        """See Backend."""
        for path in paths:
            self._objects.replace(draft / path, f"{folder}/{path}")
        self._leases.check(_lease(folder))

    def _manifest_first(self, folder: str) -> list[str]:
        return sorted(self._objects.listing(folder), key=lambda path: (path != layout.MANIFEST, path))

    def lock(self, folder: str) -> AbstractContextManager[None]:
        """See Backend."""
        return self._leases.hold(_lease(folder))

    def committing(self, folder: str) -> AbstractContextManager[None]:
        """See Backend."""
        return self._leases.ensure(_lease(folder))


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not layout.is_hidden(path.name)]


def _lease(folder: str) -> str:
    return folder.replace("/", ".")


def _replace(target: Path, fresh: Path, stale: Path) -> None:
    """Put a verified copy in the place of a damaged one, or of none; another process may do the same."""
    with suppress(FileNotFoundError):
        target.rename(stale)
    try:
        fresh.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
