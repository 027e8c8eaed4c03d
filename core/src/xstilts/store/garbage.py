"""What a store holds that nobody needs: other artifacts and inputs, old things set aside, work that was left lying."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from xstilts.store import layout
from xstilts.store.backend import Backend
from xstilts.store.files import files_below
from xstilts.store.locks import is_held
from xstilts.store.manifest import read_manifest
from xstilts.store.places import There, artifact, look

SET_ASIDE_FOR: Final = timedelta(days=7)  # time to look into what was damaged
CHECKPOINT_FOR: Final = timedelta(days=1)  # without a new one, nobody trains there


@dataclass(frozen=True)
class Unneeded:
    """Something that can go. `folder` is relative to the namespace, `work` to the local folder of work under way."""

    kind: Literal["artifact", "input", "experiment", "set aside", "draft", "checkpoint"]
    name: str
    size: int  # bytes
    folder: str = ""
    work: str = ""


def find_unneeded(
    backend: Backend,
    keys: Collection[str],
    input_folders: Collection[str],
    now: datetime,
    experiments: Collection[str] | None = None,
) -> Iterator[Unneeded]:
    """What can go when those keys and inputs are needed, biggest kinds first; and what other experiments say that they use."""
    for key in filter(layout.is_key, backend.names("")):
        if key not in keys:
            yield Unneeded("artifact", _describe(backend, key), _size(backend, key), folder=key)
    for name in backend.names(layout.INPUTS):
        for digest in filter(layout.is_key, backend.names(f"{layout.INPUTS}/{name}")):
            folder = f"{layout.INPUTS}/{name}/{digest}"
            if folder not in input_folders:
                yield Unneeded(
                    "input", f"store://{name}@sha256:{digest}", _size(backend, folder), folder=folder
                )
    for name in backend.names(layout.USES):
        if experiments is not None and name not in experiments:
            folder = f"{layout.USES}/{name}"
            yield Unneeded("experiment", name, _size(backend, folder), folder=folder)
    for name in backend.names(layout.SET_ASIDE):
        moment = layout.set_aside_moment(name)
        if moment is not None and now - moment > SET_ASIDE_FOR:
            folder = f"{layout.SET_ASIDE}/{name}"
            yield Unneeded("set aside", name, _size(backend, folder), folder=folder)
    yield from _stray_work(backend, keys, now)


def discard(backend: Backend, item: Unneeded) -> None:
    """Remove something for good."""
    if item.folder:
        backend.remove(item.folder)
    else:
        shutil.rmtree(backend.work / item.work, ignore_errors=True)
        if item.kind == "checkpoint":
            backend.keep(item.work)
        draft_lock(backend.work / item.work).unlink(missing_ok=True)


def draft_lock(draft: Path) -> Path:
    """The file whose lock the writer of a draft holds."""
    return draft.with_name(f"{draft.name}.lock")


def _stray_work(backend: Backend, keys: Collection[str], now: datetime) -> Iterator[Unneeded]:
    for draft in _folders(backend.work / layout.DRAFTS):
        if not is_held(draft_lock(draft)):
            yield Unneeded("draft", draft.name, _local_size(draft), work=f"{layout.DRAFTS}/{draft.name}")
    here = {folder.name: folder for folder in _folders(backend.work / layout.CHECKPOINTS)}
    for key in sorted({*backend.names(layout.CHECKPOINTS), *here}):
        if key in keys and not _is_done(backend, key):
            continue
        folder = f"{layout.CHECKPOINTS}/{key}"
        written = backend.last_write(folder)
        if written is None or now - written <= CHECKPOINT_FOR:
            continue
        if key in here:
            yield Unneeded("checkpoint", key, _local_size(here[key]), work=folder)
        else:
            yield Unneeded("checkpoint", key, _size(backend, folder), folder=folder)


def _is_done(backend: Backend, key: str) -> bool:
    """Whether a stage has nothing more to do: who has ended it was killed before its checkpoints had gone."""
    found = look(backend, artifact(key))
    return isinstance(found, There) and found.whole


def _describe(backend: Backend, key: str) -> str:
    try:
        manifest = read_manifest(backend.read(f"{key}/{layout.MANIFEST}"), key)
    except FileNotFoundError:
        manifest = None
    return f"{manifest.kind.value if manifest else 'unfinished'} {key}"


def _size(backend: Backend, folder: str) -> int:
    return sum(size for size in backend.listing(folder).values() if size > 0)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _local_size(folder: Path) -> int:
    size = 0
    for path in files_below(folder):
        with suppress(FileNotFoundError):  # another process removes it, too
            size += path.lstat().st_size
    return size
