"""Where an artifact or an input lies, and what lies there: whole, without the weights that were dropped, or damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from xstilts.stage import InputRef
from xstilts.store import layout
from xstilts.store.backend import Backend
from xstilts.store.dropping import NO_WEIGHTS, read_dropped
from xstilts.store.manifest import Contents, InputManifest, Manifest, read_input_manifest, read_manifest

AnyManifest = TypeVar("AnyManifest", bound=Contents)


@dataclass(frozen=True)
class Place(Generic[AnyManifest]):
    """Where an artifact or an input lies, how its manifest is read, and what people are told of it."""

    folder: str
    parse: Callable[[bytes], AnyManifest | None]
    title: str
    remedy: str

    def gone(self) -> str:
        """What people are told where weights that they ask for have been dropped."""
        return f"{self.title} must have its weights, {NO_WEIGHTS}"


@dataclass(frozen=True)
class Damage:
    """What is wrong with what lies at a place; not `committed` without a manifest: another writer's work under way, maybe."""

    reason: str
    committed: bool = True


@dataclass(frozen=True)
class There(Generic[AnyManifest]):
    """What lies at a place, and is as it was left.

    Attributes:
        manifest: of all that was made.
        dropped: the files that count as gone; none where it is whole.
        left: those of them that are there still, with their sizes: who dropped them was stopped on the way.
    """

    manifest: AnyManifest
    dropped: frozenset[str] = frozenset()
    left: Mapping[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every file of it is there to be read."""
        return not self.dropped


def artifact(key: str) -> Place[Manifest]:
    """The place of a stage's artifact.

    Raises:
        StoreError: the key is none.
    """
    return Place(
        layout.artifact(key), lambda text: read_manifest(text, key), f"artifact {key}", "run its stage again"
    )


def put(ref: InputRef) -> Place[InputManifest]:
    """The place of an input.

    Raises:
        StoreError: its name or digest has another form.
    """
    return Place(
        layout.input_folder(ref.name, ref.digest),
        lambda text: read_input_manifest(text, ref.name, ref.digest),
        str(ref),
        f"put it with `xstilts put {ref.name} FOLDER`",
    )


def look(backend: Backend, place: Place[AnyManifest]) -> There[AnyManifest] | Damage | None:
    """What lies at a place, by its manifest and the presence and sizes of its files; hashes are not read."""
    while True:
        try:
            sizes = backend.listing(place.folder)
            if not sizes:
                return None
            if sizes.pop(layout.MANIFEST, None) is None:
                return Damage("it has no manifest: its writer did not come to the end", committed=False)
            manifest = place.parse(backend.read(f"{place.folder}/{layout.MANIFEST}"))
        except FileNotFoundError:  # another process moves it away just now
            return None
        if manifest is None:
            return Damage("its manifest is not whole, or another one's")
        found = _held(backend, place.folder, manifest, sizes)
        if found is not None:
            return found


def _held(
    backend: Backend, folder: str, manifest: AnyManifest, sizes: dict[str, int]
) -> There[AnyManifest] | Damage | None:
    """What is there of a manifest's files; None where it must be looked again."""
    marked = sizes.pop(layout.DROPPED, None)
    mismatch = _mismatch(manifest, sizes)
    if marked is None and mismatch is None:
        return There(manifest)
    if marked is not None and marked < 0:
        return Damage(f"{layout.DROPPED}: {_bytes(marked)}")
    # since the listing weights may have been dropped, or have come back: the mark comes before that, and goes after it
    dropped = read_dropped(backend, folder, manifest)
    if dropped is None:
        return Damage(mismatch) if marked is None and mismatch is not None else None
    if isinstance(dropped, str):
        return Damage(dropped)
    gone = frozenset(dropped.files)
    mismatch = _mismatch(manifest, sizes, gone)
    left = {path: size for path, size in sizes.items() if path in gone}
    return There(manifest, gone, left) if mismatch is None else Damage(mismatch)


def _mismatch(
    manifest: Contents, sizes: Mapping[str, int], without: frozenset[str] = frozenset()
) -> str | None:
    """How what is there differs from what the manifest says; None where it does not."""
    expected = {path: entry.size for path, entry in manifest.files.items()}
    for path in sorted((expected.keys() | sizes.keys()) - without):
        here, said = sizes.get(path), expected.get(path)
        if here != said:
            return f"{path}: {_bytes(here)}, its manifest says {_bytes(said)}"
    return None


def _bytes(size: int | None) -> str:
    if size is None:
        return "no file"
    return "not a plain file" if size < 0 else f"{size} bytes"
