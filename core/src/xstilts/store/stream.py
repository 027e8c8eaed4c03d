"""A stored folder as one stream of bytes, and the program at a stream's other end: `python -m xstilts.store.stream`.

The stream is a tar archive of plain files, its last member the SHA-256 and size of each as they were read: so who reads it
knows that it is whole, and has checked every byte. It tells its own end, since not every connection can be closed in one
direction alone.

    put NAME DIGEST   read a stream and put its folder into the store, if its digest is this one; prints the reference
    fetch WHAT        write what `xstilts.store.wanted` finds as a stream
    wait SECONDS      do nothing, so that a pod is there in which the two can be run

The store is XSTILTS_STORE's, in the namespace XSTILTS_NAMESPACE. What is wrong is said on standard error, in lines
`error: …`, with the exit codes of every command.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Final

from pydantic import TypeAdapter, ValidationError

from xstilts.errors import EXIT_FAILED, Problem, StoreError, UserError
from xstilts.store.artifacts import Store
from xstilts.store.files import CHUNK
from xstilts.store.layout import is_hidden, path_problem
from xstilts.store.location import ROOT_VARIABLE
from xstilts.store.manifest import FileEntry, digest_of
from xstilts.store.wanted import Found, find, parse

NAMESPACE_VARIABLE: Final = "XSTILTS_NAMESPACE"
PROGRAM: Final = ("python", "-m", "xstilts.store.stream")
ALIVE_SECONDS: Final = (
    15.0  # between two signs of life: what connects the two ends cuts a connection that is silent
)
_BLOCK: Final = 1 << 17  # bytes that are written at once
_ENTRIES: Final = ".xstilts-entries.json"  # hidden, so that no file of a folder has this name
_FILES: Final = TypeAdapter(dict[str, FileEntry])

Source = Path | bytes


def pack(files: Mapping[str, Source], out: IO[bytes]) -> dict[str, FileEntry]:
    """Write files (relative path -> where they are, or what they hold) as a stream; what was written of each."""
    written: dict[str, FileEntry] = {}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BLOCK) as archive:
        for relative, source in files.items():
            with _opened(source) as (reader, size):
                hashing = _Hashing(reader)
                archive.addfile(_member(relative, size), hashing)
            written[relative] = hashing.entry
        entries = _FILES.dump_json(written)
        archive.addfile(_member(_ENTRIES, len(entries)), BytesIO(entries))
    return written


def unpack(stream: IO[bytes], folder: Path) -> dict[str, FileEntry]:
    """Write the files of a stream into a folder; what was read of each.

    Raises:
        StoreError: the stream ends too early, is none, or its bytes are not those that were sent.
    """
    read: dict[str, FileEntry] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise StoreError(Problem(ascii(member.name), "must be a plain file"))
                if member.name == _ENTRIES:
                    _check(_FILES.validate_json(content.read()), read)
                    return read
                read[member.name] = write_file(folder, member.name, content)
    except (tarfile.TarError, EOFError, ValidationError) as error:
        raise StoreError(Problem("stream", f"must be whole, is not: {error}")) from None
    raise StoreError(Problem("stream", "must be whole, ends too early; try again"))


def write_file(folder: Path, relative: str, content: IO[bytes]) -> FileEntry:
    """Write a new file of a folder; what was written.

    Raises:
        StoreError: its name could lead out of the folder.
    """
    problem = path_problem(relative) or ("must not be hidden" if is_hidden(relative) else None)
    if problem:
        raise StoreError(Problem(ascii(relative), problem))
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    hashing = _Hashing(content)
    with target.open("xb") as writer:
        while chunk := hashing.read(CHUNK):
            writer.write(chunk)
    return hashing.entry


def copy_out(found: Found, folder: Path) -> dict[str, FileEntry]:
    """Write what was found in a store of this machine into a folder; what was written of each file.

    Raises:
        StoreError: the bytes that were read are not those of the manifest.
    """
    written: dict[str, FileEntry] = {}
    for relative, source in found.files.items():
        with _opened(source) as (reader, _):
            written[relative] = write_file(folder, relative, reader)
    if found.entries:
        _check(found.entries, written)
    return written


def put(store: Store, name: str, digest: str, stream: IO[bytes]) -> str:
    """Put the folder in a stream into a store; its reference.

    Raises:
        StoreError: what has come is not what has this digest, or cannot be stored.
    """
    with tempfile.TemporaryDirectory(prefix="xstilts-put-") as folder:
        came = digest_of(unpack(stream, Path(folder)))
        if came != digest:
            raise StoreError(Problem("stream", f"must hold the folder of digest {digest}, holds {came}"))
        return str(store.put(name, Path(folder)))


class _Hashing:
    """Reads, and knows what was read."""

    def __init__(self, reader: IO[bytes]) -> None:
        self._reader = reader
        self._sha, self._size = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._reader.read(size)
        self._sha.update(chunk)
        self._size += len(chunk)
        return chunk

    @property
    def entry(self) -> FileEntry:
        return FileEntry(sha256=self._sha.hexdigest(), size=self._size)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


@contextmanager
def _opened(source: Source) -> Iterator[tuple[IO[bytes], int]]:
    if isinstance(source, bytes):
        yield BytesIO(source), len(source)
        return
    with source.open("rb") as reader:
        yield reader, os.fstat(reader.fileno()).st_size


def _check(sent: Mapping[str, FileEntry], read: Mapping[str, FileEntry]) -> None:
    wrong = sorted(path for path in sent.keys() | read.keys() if sent.get(path) != read.get(path))
    if wrong:
        raise StoreError(*(Problem(path, "must come as it was sent, did not; try again") for path in wrong))


def main(arguments: Sequence[str]) -> int:
    """The program; its exit code."""
    try:
        with _alive():
            for line in _run(*arguments):
                sys.stdout.write(f"{line}\n")
    except UserError as error:
        for problem in error.problems:
            sys.stderr.write(f"error: {problem}\n")
        return error.exit_code
    except OSError as error:  # a full disk, a folder that may not be written
        sys.stderr.write(f"error: {Problem(str(error.filename or ''), error.strerror or str(error))}\n")
        return EXIT_FAILED
    return 0


def _run(what: str, *arguments: str) -> Iterable[str]:
    if what == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a pod ends on no other
        time.sleep(float(arguments[0]))
        return []
    store = Store.open(os.environ[ROOT_VARIABLE], os.environ[NAMESPACE_VARIABLE])
    actions: Mapping[str, Callable[..., Iterable[str]]] = {"put": _put, "fetch": _fetch}
    return actions[what](store, *arguments)


def _put(store: Store, name: str, digest: str) -> Iterable[str]:
    # unbuffered: a read gives what is there, and does not wait for more than the stream holds
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stdin:
        return [json.dumps({"reference": put(store, name, digest, stdin)})]


def _fetch(store: Store, what: str) -> Iterable[str]:
    found = find(store, parse(what))
    pack(found.files, sys.stdout.buffer)
    sys.stdout.flush()
    return []


@contextmanager
def _alive() -> Iterator[None]:
    """Write an empty line to standard error now and then."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(ALIVE_SECONDS):
            sys.stderr.write("\n")
            sys.stderr.flush()

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
