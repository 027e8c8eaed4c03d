"""The files of a local folder: which there are, their hashes, and writing them so that they outlast a power cut."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from xstilts.errors import Problem, StoreError
from xstilts.store.layout import is_hidden, path_problem
from xstilts.store.manifest import FileEntry

CHUNK = 1 << 20

# What this process has hashed, by path, size, times and inode. A stage reads a 470 MB model through several calls: it is
# hashed once, and again when the file has changed. Times have a grain of some milliseconds, so that a file that was
# changed just now could change again unseen: it is not remembered.
_hashed: dict[tuple[str, int, int, int, int], str] = {}
_SETTLED = 2_000_000_000  # nanoseconds


def content(folder: Path, *, links: bool) -> dict[str, Path]:
    """Relative path -> file, for all files of a folder that are its content (hidden ones are not), sorted.

    With `links`, a link to a file inside the folder is followed: the path returned is its target's.

    Raises:
        StoreError: a link leads elsewhere, something is neither file nor folder, or a name cannot be stored; all
            problems together.
    """
    root = folder.resolve()
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        if is_hidden(relative):
            continue
        problem = path_problem(relative) or _kind_problem(path, root, links=links)
        if problem is None:
            found[relative] = path.resolve()
        else:
            problems.append(Problem(ascii(relative) if not relative.isprintable() else relative, problem))
    if problems:
        raise StoreError(*problems)
    return dict(sorted(found.items()))


def last_write(folder: Path) -> datetime:
    """When something was last written in a folder: the time of itself, or of a file in it."""
    newest = 0.0
    for path in (folder, *files_below(folder)):
        with suppress(FileNotFoundError):  # it goes just now
            newest = max(newest, path.lstat().st_mtime)
    return datetime.fromtimestamp(newest, UTC)


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and in the folders below it, as far as they can be listed; of links those that lead to no folder."""
    for here, _, names in os.walk(folder):
        yield from (Path(here) / name for name in names)


def _walk(root: Path) -> Iterator[Path]:
    """Everything under a folder that is no folder: files, links, whatever else."""
    for folder, folders, files in os.walk(root, onerror=_raise):
        here = Path(folder)
        yield from (here / name for name in files)
        yield from (here / name for name in folders if (here / name).is_symlink())


def _raise(error: OSError) -> None:
    raise error


def _kind_problem(path: Path, root: Path, *, links: bool) -> str | None:
    if path.is_symlink() and not links:
        return "must be a file, is a link"
    if path.is_symlink():
        try:
            target = path.resolve()
        except RuntimeError:
            return "must be a file or a link to one, is a link that leads back to itself"
        if not target.is_relative_to(root):
            return f"must not be a link that leads out of the folder (to {target}); copy the folder with `cp -rL` first"
        if not target.is_file():
            return f"must be a file or a link to one, links to {target}"
    elif not path.is_file():
        return "must be a plain file"
    return None


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file, remembered by this process for as long as its size, times and inode stay."""
    state = path.stat()
    identity = (str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    known = _hashed.get(identity)
    if known is None:
        with path.open("rb") as stream:
            known = hashlib.file_digest(stream, "sha256").hexdigest()
        if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _SETTLED:
            _hashed[identity] = known
    return known


def entries(files: Mapping[str, Path]) -> dict[str, FileEntry]:
    """What a manifest says of files: hash and size of each."""
    return {
        relative: FileEntry(sha256=sha256_file(path), size=path.stat().st_size)
        for relative, path in files.items()
    }


def damage(folder: Path, expected: Mapping[str, FileEntry]) -> str | None:
    """What differs between a folder and what its manifest says, every hash computed; None where nothing does."""
    for relative, entry in expected.items():
        try:
            actual = sha256_file(folder / relative)
        except OSError as error:
            return f"{relative} cannot be read: {error.strerror}"
        if actual != entry.sha256:
            return f"{relative} has SHA-256 {actual}, its manifest says {entry.sha256}"
    return None


def copy(source: Path, target: Path) -> FileEntry:
    """Copy a file's bytes to a new file and say what was copied, from one reading."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256()
    size = 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            sha.update(chunk)
            writer.write(chunk)
            size += len(chunk)
    return FileEntry(sha256=sha.hexdigest(), size=size)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_tree(folder: Path) -> None:
    """Wait until every file and folder under a folder is on the disk."""
    for here, _, names in os.walk(folder):
        for name in names:
            with (Path(here) / name).open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(here))


def sync_folder(folder: Path) -> None:
    """Wait until a folder's list of names is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
