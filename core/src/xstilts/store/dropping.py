"""Giving up the weights of a training (`spec.store.keep`), and taking them back when its stage has run again.

What was dropped stands in `dropped.json` beside the manifest, which stays as it was. The file is there before the first weight goes,
and goes when the last one is there again: what it names counts as gone, be it deleted yet or not.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from xstilts.errors import Problem
from xstilts.model import Model
from xstilts.store import layout
from xstilts.store.backend import Backend
from xstilts.store.manifest import Contents, Manifest

DROPPED_SCHEMA: Final = "xstilts.dev/dropped/v1"
NO_WEIGHTS: Final = (
    "has not: they were dropped, as spec.store.keep let them go. Its stage runs again when something that must run needs it (a cell "
    "that is new in its experiment, say); or run the experiment with spec.store.keep: All in another store"
)
_WEIGHTS: Final = ".safetensors"


class Dropped(Model):
    """`dropped.json`: the files of an artifact that are gone, or are to go, and since when."""

    schema_: Literal["xstilts.dev/dropped/v1"] = Field(default=DROPPED_SCHEMA, alias="schema")
    outputs_digest: str
    files: tuple[str, ...] = Field(min_length=1)
    dropped_at: datetime


def weights(contents: Contents) -> tuple[str, ...]:
    """The files of a training that hold weights, sorted: all that takes room in it, and nothing that a report reads."""
    return tuple(sorted(path for path in contents.files if path.endswith(_WEIGHTS)))


def read_dropped(backend: Backend, folder: str, contents: Contents) -> Dropped | str | None:
    """What was dropped of an artifact; None where nothing was, a sentence where that cannot be told."""
    try:
        text = backend.read(f"{folder}/{layout.DROPPED}")
    except FileNotFoundError:
        return None
    try:
        dropped = Dropped.model_validate_json(text)
    except ValidationError:
        return f"its {layout.DROPPED} is not whole"
    if dropped.outputs_digest != contents.outputs_digest or not contents.files.keys() >= set(dropped.files):
        return f"its {layout.DROPPED} is another one's"
    return dropped


def changing(backend: Backend, folder: str) -> AbstractContextManager[None]:
    """What is held while weights go or come back; another lock than the stage's, which its writer may hold."""
    return backend.lock(f"{folder}.weights")


def mark(backend: Backend, folder: str, contents: Contents) -> None:
    """Say that the weights are gone, before they are."""
    dropped = Dropped(
        outputs_digest=contents.outputs_digest, files=weights(contents), dropped_at=datetime.now(UTC)
    )
    document = dropped.model_dump(mode="json")
    backend.write(f"{folder}/{layout.DROPPED}", json.dumps(document, sort_keys=True, indent=2).encode())


def take_back(backend: Backend, folder: str, draft: Path, contents: Contents) -> None:
    """Bring the weights in a draft, which is equal to what was made, to where they were dropped."""
    with changing(backend, folder):
        dropped = read_dropped(backend, folder, contents)
        if isinstance(
            dropped, Dropped
        ):  # else another process has brought them back, and the draft is not needed
            backend.restore(draft, folder, dropped.files)
            backend.erase(folder, [layout.DROPPED])


def made_otherwise(recorded: Manifest, made: Manifest, aside: str) -> Problem:
    """What people are told of a stage that ran again for its weights, and came to others."""
    return Problem(
        "outputsDigest",
        f"must be {recorded.outputs_digest}, as when artifact {recorded.key} was made whose weights were dropped since "
        f"(spec.store.keep), was {made.outputs_digest}; what was made now lies in {aside}. Run it on the hardware and with the "
        "versions that its manifest.json names; or remove the artifact from the store, and the evaluations of it with it, "
        "so that they are made anew",
    )
