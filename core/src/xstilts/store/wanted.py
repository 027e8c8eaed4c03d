"""What can be fetched out of a store, by the name that people give it: an artifact, an input, or a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xstilts.errors import Problem, StoreError
from xstilts.stage import InputRef
from xstilts.store import layout
from xstilts.store.artifacts import Store
from xstilts.store.manifest import Contents, FileEntry

FORMS: Final = (
    "an experiment or reports/EXPERIMENT[/FILE] (its report), a stage's key or its first 8 digits or more (an artifact), or "
    "store://NAME[@sha256:DIGEST] (an input)"
)
_KEY: Final = re.compile(r"[0-9a-f]{8,64}")
_INPUT: Final = re.compile(r"store://(?P<name>[^@/]+)(@sha256:(?P<digest>[0-9a-f]{64}))?")
_REPORT: Final = re.compile(r"(reports/)?(?P<experiment>[a-z0-9-]{1,63})(/(?P<file>[^/]+))?")


@dataclass(frozen=True)
class Key:
    """An artifact, by its stage's key or the first digits of it."""

    digits: str


@dataclass(frozen=True)
class Input:
    """An input; without a digest the one that was put last."""

    name: str
    digest: str | None


@dataclass(frozen=True)
class Report:
    """An experiment's report, or one file of it."""

    experiment: str
    file: str | None


Wanted = Key | Input | Report


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        title: what people call it.
        files: relative path -> a local file whose hash was verified, or the bytes of a report.
        entries: what the manifest says of each; a report has none.
    """

    title: str
    files: Mapping[str, Path | bytes]
    entries: Mapping[str, FileEntry]


def parse(text: str) -> Wanted:
    """What a name means.

    Raises:
        StoreError: it is none of the forms.
    """
    if found := _INPUT.fullmatch(text):
        return Input(layout.input_name(found["name"]), found["digest"])
    if _KEY.fullmatch(text):
        return Key(text)
    if (found := _REPORT.fullmatch(text)) and (found["file"] is None or text.startswith("reports/")):
        return Report(found["experiment"], found["file"])
    raise StoreError(Problem("what", f"must be {FORMS}, was {text!r}"))


def find(store: Store, wanted: Wanted) -> Found:
    """The files of something in a store.

    Raises:
        StoreError: it is not there, or was damaged.
    """
    match wanted:
        case Key(digits):
            key = _whole_key(store, digits)
            return _stored(f"artifact {key}", store.fetch(key), store.lookup(key))
        case Input(name, digest):
            ref = InputRef(name=name, digest=digest) if digest else store.latest(name)
            if ref is None:
                raise StoreError(Problem(f"store://{name}", "must be in the store, is not; `xstilts put` it"))
            return _stored(str(ref), store.fetch_input(ref), store.input_manifest(ref))
        case Report(experiment, file):
            return _report(store, experiment, file)


def _stored(title: str, folder: Path, manifest: Contents | None) -> Found:
    if manifest is None:
        raise StoreError(f"{title} must stay in the store while it is fetched, has gone")
    return Found(title, {relative: folder / relative for relative in manifest.files}, manifest.files)


def _report(store: Store, experiment: str, file: str | None) -> Found:
    files = store.report(experiment)
    if not files:
        problem = (
            "must be in the store, is not: the operator writes it at the experiment's end; that of a local run is "
            f"results/{experiment}/report.html"
        )
        raise StoreError(Problem(f"reports/{experiment}", problem))
    if file is not None and file not in files:
        raise StoreError(
            Problem(f"reports/{experiment}", f"must hold {file}, holds {', '.join(sorted(files))}")
        )
    chosen = files if file is None else {file: files[file]}
    return Found(f"report of {experiment}", chosen, {})


def _whole_key(store: Store, digits: str) -> str:
    if layout.is_key(digits):
        return digits
    found = [key for key in iter(store.keys()) if key.startswith(digits)]
    if len(found) != 1:
        known = "no artifact has" if not found else f"{len(found)} artifacts have"
        raise StoreError(
            Problem("key", f"must be the first digits of one artifact's key; {known} {digits!r}")
        )
    return found[0]
