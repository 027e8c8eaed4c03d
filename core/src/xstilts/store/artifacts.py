"""The store: what stages have made, found by their key, and the inputs that people have put."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from xstilts.canonical import sha256_hex
from xstilts.errors import Problem, StoreError
from xstilts.stage import InputRef, Stage
from xstilts.store import layout
from xstilts.store.backend import Backend, DamagedError
from xstilts.store.files import content, copy, entries
from xstilts.store.garbage import Unneeded, discard, draft_lock, find_unneeded
from xstilts.store.location import backend_for
from xstilts.store.locks import hold_file
from xstilts.store.manifest import (
    Contents,
    InputManifest,
    Manifest,
    digest_of,
    read_input_manifest,
    read_manifest,
)

AnyManifest = TypeVar("AnyManifest", bound=Contents)


class Draft:
    """An artifact being written: write files into `path`; `manifest` is there once the block was left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest: Manifest | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest of the artifact as it stands in the store.

        Raises:
            StoreError: the draft has not become an artifact.
        """
        if self._manifest is None:
            raise StoreError("the draft must be finished first: it has no manifest yet")
        return self._manifest


class Store:
    """Artifacts and inputs of one namespace, in a folder or an object store.

    An artifact appears whole or not at all, and is never changed. What is found damaged is set aside with the reason,
    never deleted. `lock` makes one process do a stage while others wait: it saves work, and nothing depends on it. Of
    two writers at one key the first wins, and neither can spoil what the other has finished.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(cls, root: str, namespace: str = "default") -> Store:
        """The store at a folder or an fsspec URL (`s3://bucket/prefix`).

        Raises:
            StoreError: the root or the namespace is no such thing.
        """
        return cls(backend_for(root, layout.namespace(namespace)))

    def lookup(self, key: str) -> Manifest | None:
        """The manifest, when it is whole and every file is there with its size; hashes are not read."""
        found = self._look(_artifact(key))
        return None if isinstance(found, _Damage) else found

    def fetch(self, key: str) -> Path:
        """A local folder with the artifact's files, all hashes verified; not to be written in.

        Raises:
            StoreError: there is no such artifact, or it was damaged: then it has been set aside.
        """
        return self._fetch(_artifact(key))

    def read_bytes(self, key: str, relative_path: str) -> bytes:
        """One file of an artifact, verified: for small ones, such as `scores.json`.

        Raises:
            StoreError: there is no such artifact or file, or it was damaged: then the artifact has been set aside.
        """
        manifest = self.lookup(key)
        if manifest is None or relative_path not in manifest.files:
            raise StoreError(
                Problem(relative_path, f"must be in artifact {key}, is not; run its stage again")
            )
        text = self._backend.read(f"{key}/{relative_path}")
        if sha256_hex(text) != manifest.files[relative_path].sha256:
            raise self._damaged(
                _artifact(key), _Damage(f"{relative_path} has another SHA-256 than its manifest says")
            )
        return text

    @contextmanager
    def write(self, stage: Stage, environment: Mapping[str, Any]) -> Iterator[Draft]:
        """Write a stage's artifact: leaving the block makes the draft's files an artifact, its manifest last.

        `environment` is read when the block is left, so that it may be filled until then. An exception discards the
        draft. Where another writer was first, its artifact stays and `Draft.manifest` is its manifest; a draft with
        other outputs is then set aside.

        Raises:
            StoreError: nothing was written, or something that cannot be stored.
        """
        place = _artifact(stage.key)
        with self._draft(stage.key) as folder:
            draft = Draft(folder)
            yield draft
            files = entries(content(folder, links=False))
            if not files:
                raise StoreError(
                    f"a stage must write at least one file, {stage.kind.value} {stage.key} wrote none"
                )
            manifest = Manifest.of(stage, files, environment)
            stored = self._publish(place, folder, manifest)
            if stored.outputs_digest != manifest.outputs_digest:
                aside = _aside(place.folder)
                self._backend.publish(folder, aside, manifest)
                self._explain(aside, "another writer had finished this stage with other outputs")
            draft._manifest = stored  # noqa: SLF001 - the store alone finishes a draft
        shutil.rmtree(self._backend.work / _checkpoints(stage.key), ignore_errors=True)
        self._backend.keep(_checkpoints(stage.key))

    def lock(self, key: str) -> AbstractContextManager[None]:
        """One process at a time inside; the others wait. Ends with its process."""
        return self._backend.lock(_artifact(key).folder)

    def checkpoint_dir(self, key: str) -> Path:
        """A local folder with a stage's checkpoints, those too that another machine has kept.

        It survives a crash, and goes when the artifact is written.
        """
        folder = self._backend.work / _checkpoints(key)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.recall(_checkpoints(key))
        return folder

    def keep_checkpoints(self, key: str) -> None:
        """Bring the checkpoints to where another machine finds them; after every change of their folder."""
        self._backend.keep(_checkpoints(key))

    def keys(self) -> Iterator[str]:
        """The keys that the store holds something for, whole or not, sorted."""
        return filter(layout.is_key, self._backend.names(""))

    def remove(self, key: str) -> None:
        """Remove an artifact for good."""
        self._backend.remove(_artifact(key).folder)

    def unneeded(self, keys: Collection[str], inputs: Collection[InputRef], now: datetime) -> list[Unneeded]:
        """What lies in the store beside the artifacts and inputs that are needed: see `xstilts.store.garbage`."""
        return list(
            find_unneeded(
                self._backend, keys, {layout.input_folder(ref.name, ref.digest) for ref in inputs}, now
            )
        )

    def discard(self, item: Unneeded) -> None:
        """Remove something unneeded for good."""
        discard(self._backend, item)

    def set_aside(self, key: str, reason: str) -> None:
        """Move an artifact out of the way, with the reason, so that its stage runs again."""
        self._set_aside(_artifact(key).folder, reason)

    def put(self, name: str, folder: Path) -> InputRef:
        """Put a folder into the store as an input; one that is there already, and whole, is not put again.

        Raises:
            StoreError: the name is none, the folder is empty, or holds what cannot be stored.
        """
        files, manifest = _describe(name, folder)
        ref = InputRef(name=name, digest=manifest.outputs_digest)
        if not isinstance(self._look(_input(ref)), InputManifest):
            with self._draft(name) as draft:
                copied = {relative: copy(path, draft / relative) for relative, path in files.items()}
                if digest_of(copied) != ref.digest:
                    raise StoreError(Problem(str(folder), "must not change while it is put; put it again"))
                self._publish(_input(ref), draft, manifest)
        self._backend.write(f"{layout.INPUTS}/{name}/{layout.LATEST}", ref.digest.encode())
        return ref

    def reference(self, name: str, folder: Path) -> InputRef:
        """What `put` would return; nothing is put.

        Raises:
            StoreError: as `put`.
        """
        return InputRef(name=name, digest=_describe(name, folder)[1].outputs_digest)

    def fetch_input(self, ref: InputRef) -> Path:
        """A local folder with an input's files, all hashes verified; not to be written in.

        Raises:
            StoreError: there is no such input, or it was damaged: then it has been set aside.
        """
        return self._fetch(_input(ref))

    def input_manifest(self, ref: InputRef) -> InputManifest | None:
        """The manifest of an input, when it is whole and every file is there with its size; hashes are not read."""
        found = self._look(_input(ref))
        return None if isinstance(found, _Damage) else found

    def read_input(self, ref: InputRef, relative_path: str) -> bytes:
        """One file of an input, as it lies there: for estimates, since its hash is not verified.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return self._backend.read(f"{_input(ref).folder}/{relative_path}")

    def latest(self, name: str) -> InputRef | None:
        """The input of a name that was put last, or None where none was, or that one is not whole (any more)."""
        try:
            digest = self._backend.read(f"{layout.INPUTS}/{layout.input_name(name)}/{layout.LATEST}").decode()
        except FileNotFoundError:
            return None
        ref = InputRef(name=name, digest=digest)
        return ref if isinstance(self._look(_input(ref)), InputManifest) else None

    def pinned(self, name: str, mark: str) -> InputRef | None:
        """The input of a name that all who bear one mark read: that which was put last when the first of them asked.

        None where nothing of the name was put, or that is not whole (any more).
        """
        place = f"{layout.INPUTS}/{layout.input_name(name)}/{layout.PINS}/{sha256_hex(mark.encode())}"
        with self._backend.lock(place):
            try:
                return InputRef(name=name, digest=self._backend.read(place).decode())
            except FileNotFoundError:
                latest = self.latest(name)
            if latest is not None:
                self._backend.write(place, latest.digest.encode())
            return latest

    def inputs(self) -> Iterator[InputRef]:
        """The inputs that the store holds something for, whole or not, sorted."""
        for name in self._backend.names(layout.INPUTS):
            for digest in filter(layout.is_key, self._backend.names(f"{layout.INPUTS}/{name}")):
                yield InputRef(name=name, digest=digest)

    def write_report(self, experiment: str, files: Mapping[str, str | bytes]) -> None:
        """Write an experiment's report, over an older one; a reader sees each file whole, the first one last.

        Raises:
            StoreError: a name cannot be part of a path.
        """
        paths = {layout.report_file(experiment, name): text for name, text in files.items()}
        for path, text in reversed(paths.items()):
            self._backend.write(path, text.encode() if isinstance(text, str) else text)

    def report(self, experiment: str) -> dict[str, bytes]:
        """The files of an experiment's report, by name; none where it has none."""
        folder = layout.report_folder(experiment)
        return {
            name: self._backend.read(f"{folder}/{name}") for name in sorted(self._backend.listing(folder))
        }

    @contextmanager
    def _draft(self, name: str) -> Iterator[Path]:
        folder = self._backend.work / layout.DRAFTS / f"{name}.{secrets.token_hex(8)}"
        lock = draft_lock(folder)
        with hold_file(lock):  # so that `xstilts gc` can tell a draft from what a dead process has left
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink()

    def _look(self, place: _Place[AnyManifest]) -> AnyManifest | _Damage | None:
        try:
            sizes = self._backend.listing(place.folder)
            if not sizes:
                return None
            if sizes.pop(layout.MANIFEST, None) is None:
                return _Damage("it has no manifest: its writer did not come to the end", committed=False)
            manifest = place.parse(self._backend.read(f"{place.folder}/{layout.MANIFEST}"))
        except FileNotFoundError:  # another process moves it away just now
            return None
        if manifest is None:
            return _Damage("its manifest is not whole, or another one's")
        expected = {path: entry.size for path, entry in manifest.files.items()}
        for path in sorted(expected.keys() | sizes.keys()):
            here, said = sizes.get(path), expected.get(path)
            if here != said:
                return _Damage(f"{path}: {_bytes(here)}, its manifest says {_bytes(said)}")
        return manifest

    def _fetch(self, place: _Place[AnyManifest]) -> Path:
        while True:
            found = self._look(place)
            if found is None or (isinstance(found, _Damage) and not found.committed):
                raise StoreError(f"{place.title} must be in the store, is not; {place.remedy}")
            if isinstance(found, _Damage):
                raise self._damaged(place, found)
            try:
                return self._backend.materialise(place.folder, found)
            except DamagedError as error:
                if self._look(place) == found:  # else another process has mended it meanwhile
                    raise self._damaged(place, _Damage(str(error))) from None

    def _publish(self, place: _Place[AnyManifest], draft: Path, manifest: AnyManifest) -> AnyManifest:
        """Bring a draft to its place, unless a whole one is there: the manifest of what is there then."""
        with self._backend.committing(place.folder):
            while True:
                found = self._look(place)
                if isinstance(found, _Damage):
                    self._set_aside(place.folder, found.reason)
                elif found is not None:
                    return found
                try:
                    self._backend.publish(draft, place.folder, manifest)
                except FileExistsError:
                    continue
                return manifest

    def _damaged(self, place: _Place[AnyManifest], damage: _Damage) -> StoreError:
        self._set_aside(place.folder, damage.reason)
        return StoreError(f"{place.title} was damaged and is set aside ({damage.reason}); {place.remedy}")

    def _set_aside(self, folder: str, reason: str) -> None:
        target = _aside(folder)
        if self._backend.move(folder, target):
            self._explain(target, reason)

    def _explain(self, target: str, reason: str) -> None:
        note = {"reason": reason, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._backend.write(f"{target}/{layout.REASON}", json.dumps(note, indent=2).encode())


@dataclass(frozen=True)
class _Damage:
    reason: str
    committed: bool = True  # False: no manifest, so that it may be another writer's work under way


@dataclass(frozen=True)
class _Place(Generic[AnyManifest]):
    """Where an artifact or an input lies, how its manifest is read, and what people are told of it."""

    folder: str
    parse: Callable[[bytes], AnyManifest | None]
    title: str
    remedy: str


def _artifact(key: str) -> _Place[Manifest]:
    return _Place(
        layout.artifact(key), lambda text: read_manifest(text, key), f"artifact {key}", "run its stage again"
    )


def _checkpoints(key: str) -> str:
    return f"{layout.CHECKPOINTS}/{_artifact(key).folder}"


def _input(ref: InputRef) -> _Place[InputManifest]:
    return _Place(
        layout.input_folder(ref.name, ref.digest),
        lambda text: read_input_manifest(text, ref.name, ref.digest),
        str(ref),
        f"put it with `xstilts put {ref.name} FOLDER`",
    )


def _aside(folder: str) -> str:
    return layout.set_aside_folder(folder, datetime.now(UTC), secrets.token_hex(4))


def _describe(name: str, folder: Path) -> tuple[dict[str, Path], InputManifest]:
    """The files of a folder and the manifest that they make it."""
    layout.input_name(name)
    if not folder.is_dir():
        raise StoreError(Problem(str(folder), "must be a folder; put a single file into a folder of its own"))
    files = content(folder, links=True)
    if not files:
        raise StoreError(Problem(str(folder), "must hold a file that is not hidden, holds none"))
    return files, InputManifest.of(name, entries(files))


def _bytes(size: int | None) -> str:
    if size is None:
        return "no file"
    return "not a plain file" if size < 0 else f"{size} bytes"
