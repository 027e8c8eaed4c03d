"""The store: what stages have made, found by their key, and the inputs that people have put."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xstilts.canonical import sha256_hex
from xstilts.errors import Problem, StoreError
from xstilts.stage import InputRef, Stage
from xstilts.store import layout, places
from xstilts.store.backend import Backend, DamagedError
from xstilts.store.dropping import changing, made_otherwise, mark, take_back, weights
from xstilts.store.files import content, copy, entries
from xstilts.store.garbage import Unneeded, discard, draft_lock, find_unneeded
from xstilts.store.keeping import Use, read_use
from xstilts.store.location import backend_for
from xstilts.store.locks import hold_file
from xstilts.store.manifest import InputManifest, Manifest, digest_of
from xstilts.store.places import AnyManifest, Damage, Place, There


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
        found = self.record(key)
        return found.manifest if found is not None and found.whole else None

    def record(self, key: str) -> There[Manifest] | None:
        """What a stage has made, also where its weights have been dropped since; `lookup` is of what is there to be read."""
        found = self._look(places.artifact(key))
        return None if isinstance(found, Damage) else found

    def fetch(self, key: str) -> Path:
        """A local folder with the artifact's files, all hashes verified; not to be written in.

        Raises:
            StoreError: there is no such artifact, its weights were dropped, or it was damaged: then it has been set aside.
        """
        return self._fetch(places.artifact(key))

    def read_bytes(self, key: str, relative_path: str) -> bytes:
        """One file of an artifact, verified: for small ones, such as `scores.json`.

        Raises:
            StoreError: there is no such artifact or file, or it was damaged: then the artifact has been set aside.
        """
        while True:
            found = self.record(key)
            if found is None or relative_path not in found.manifest.files.keys() - found.dropped:
                raise StoreError(
                    Problem(relative_path, f"must be in artifact {key}, is not; run its stage again")
                )
            try:
                text = self._backend.read(f"{key}/{relative_path}")
            except FileNotFoundError:  # another process moves or drops it just now
                continue
            if sha256_hex(text) == found.manifest.files[relative_path].sha256:
                return text
            raise self._damaged(
                places.artifact(key), Damage(f"{relative_path} has another SHA-256 than its manifest says")
            )

    @contextmanager
    def write(self, stage: Stage, environment: Mapping[str, Any]) -> Iterator[Draft]:
        """Write a stage's artifact: leaving the block makes the draft's files an artifact, its manifest last.

        `environment` is read when the block is left, so that it may be filled until then. An exception discards the
        draft. Where another writer was first, its artifact stays and `Draft.manifest` is its manifest; a draft with
        other outputs is then set aside. Weights that had been dropped come back, from a draft with the same outputs.

        Raises:
            StoreError: nothing was written, something that cannot be stored, or other outputs than those of which the
                weights had been dropped.
        """
        place = places.artifact(stage.key)
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
            if stored.manifest.outputs_digest != manifest.outputs_digest:
                aside = _aside(place.folder)
                self._backend.publish(folder, aside, manifest)
                self._explain(aside, "another writer had finished this stage with other outputs")
                if not stored.whole:
                    raise StoreError(made_otherwise(stored.manifest, manifest, aside))
            draft._manifest = stored.manifest  # noqa: SLF001 - the store alone finishes a draft
        shutil.rmtree(self._backend.work / _checkpoints(stage.key), ignore_errors=True)
        self._backend.keep(_checkpoints(stage.key))

    def lock(self, key: str) -> AbstractContextManager[None]:
        """One process at a time inside; the others wait. Ends with its process."""
        return self._backend.lock(places.artifact(key).folder)

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
        self._backend.remove(places.artifact(key).folder)

    def drop(self, key: str) -> int:
        """Drop the weights of an artifact, or what is left of those that were dropped; returns the bytes that this has freed.

        All else of it stays: manifest, outputs digest, and what reports read.
        """
        place = places.artifact(key)
        with changing(self._backend, place.folder):
            found = self._look(place)
            if found is None or isinstance(found, Damage):
                return 0
            if found.whole and weights(found.manifest):
                mark(self._backend, place.folder, found.manifest)
                found = self._look(place)
            left = found.left if isinstance(found, There) else {}
            if left:
                self._backend.erase(place.folder, left)
        return sum(left.values())

    def note_use(self, use: Use) -> None:
        """Remember which stages an experiment has, and how much it keeps of them; over what was said of it before."""
        self._backend.write(layout.use_file(use.experiment), use.to_json())

    def uses(self) -> Iterator[Use]:
        """What has been said by all experiments that were run in this store, sorted by name.

        Raises:
            StoreError: what one has said cannot be read.
        """
        for name in self._backend.names(layout.USES):
            try:
                yield read_use(name, self._backend.read(layout.use_file(name)))
            except FileNotFoundError:  # it has been removed meanwhile
                continue

    def unneeded(
        self,
        keys: Collection[str],
        inputs: Collection[InputRef],
        now: datetime,
        experiments: Collection[str] | None = None,
    ) -> list[Unneeded]:
        """What lies in the store beside the artifacts and inputs that are needed: see `xstilts.store.garbage`.

        Where `experiments` are named, also what others have said that they use.
        """
        folders = {layout.input_folder(ref.name, ref.digest) for ref in inputs}
        return list(find_unneeded(self._backend, keys, folders, now, experiments))

    def discard(self, item: Unneeded) -> None:
        """Remove something unneeded for good."""
        discard(self._backend, item)

    def set_aside(self, key: str, reason: str) -> None:
        """Move an artifact out of the way, with the reason, so that its stage runs again."""
        self._set_aside(places.artifact(key).folder, reason)

    def put(self, name: str, folder: Path) -> InputRef:
        """Put a folder into the store as an input; one that is there already, and whole, is not put again.

        Raises:
            StoreError: the name is none, the folder is empty, or holds what cannot be stored.
        """
        files, manifest = _describe(name, folder)
        ref = InputRef(name=name, digest=manifest.outputs_digest)
        if not isinstance(self._look(places.put(ref)), There):
            with self._draft(name) as draft:
                copied = {relative: copy(path, draft / relative) for relative, path in files.items()}
                if digest_of(copied) != ref.digest:
                    raise StoreError(Problem(str(folder), "must not change while it is put; put it again"))
                self._publish(places.put(ref), draft, manifest)
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
        return self._fetch(places.put(ref))

    def input_manifest(self, ref: InputRef) -> InputManifest | None:
        """The manifest of an input, when it is whole and every file is there with its size; hashes are not read."""
        found = self._look(places.put(ref))
        return found.manifest if isinstance(found, There) else None

    def read_input(self, ref: InputRef, relative_path: str) -> bytes:
        """One file of an input, as it lies there: for estimates, since its hash is not verified.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return self._backend.read(f"{places.put(ref).folder}/{relative_path}")

    def latest(self, name: str) -> InputRef | None:
        """The input of a name that was put last, or None where none was, or that one is not whole (any more)."""
        try:
            digest = self._backend.read(f"{layout.INPUTS}/{layout.input_name(name)}/{layout.LATEST}").decode()
        except FileNotFoundError:
            return None
        ref = InputRef(name=name, digest=digest)
        return ref if isinstance(self._look(places.put(ref)), There) else None

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

    def pins(self) -> Iterator[tuple[str, InputRef]]:
        """What is read of inputs that are named without their digest: the SHA-256 of a mark (see `pinned`), and the input."""
        for name in self._backend.names(layout.INPUTS):
            folder = f"{layout.INPUTS}/{name}/{layout.PINS}"
            for pin in filter(layout.is_key, self._backend.names(folder)):
                yield pin, InputRef(name=name, digest=self._backend.read(f"{folder}/{pin}").decode())

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

    def _look(self, place: Place[AnyManifest]) -> There[AnyManifest] | Damage | None:
        return places.look(self._backend, place)

    def _fetch(self, place: Place[AnyManifest]) -> Path:
        while True:
            found = self._look(place)
            if found is None or (isinstance(found, Damage) and not found.committed):
                raise StoreError(f"{place.title} must be in the store, is not; {place.remedy}")
            if isinstance(found, Damage):
                raise self._damaged(place, found)
            if not found.whole:
                raise StoreError(place.gone())
            try:
                return self._backend.materialise(place.folder, found.manifest)
            except DamagedError as error:
                if self._look(place) == found:  # else another process has mended it meanwhile
                    raise self._damaged(place, Damage(str(error))) from None

    def _publish(self, place: Place[AnyManifest], draft: Path, manifest: AnyManifest) -> There[AnyManifest]:
        """Bring a draft to its place, unless a whole one is there: what was there then, or is now."""
        with self._backend.committing(place.folder):
            while True:
                found = self._look(place)
                if isinstance(found, Damage):
                    self._set_aside(place.folder, found.reason)
                elif found is not None:
                    if not found.whole and found.manifest.outputs_digest == manifest.outputs_digest:
                        take_back(self._backend, place.folder, draft, found.manifest)
                    return found
                try:
                    self._backend.publish(draft, place.folder, manifest)
                except FileExistsError:
                    continue
                return There(manifest)

    def _damaged(self, place: Place[AnyManifest], damage: Damage) -> StoreError:
        self._set_aside(place.folder, damage.reason)
        return StoreError(f"{place.title} was damaged and is set aside ({damage.reason}); {place.remedy}")

    def _set_aside(self, folder: str, reason: str) -> None:
        target = _aside(folder)
        if self._backend.move(folder, target):
            self._explain(target, reason)

    def _explain(self, target: str, reason: str) -> None:
        note = {"reason": reason, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._backend.write(f"{target}/{layout.REASON}", json.dumps(note, indent=2).encode())


def _checkpoints(key: str) -> str:
    return f"{layout.CHECKPOINTS}/{places.artifact(key).folder}"


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
