"""Where bytes come from: a hub repository, the store, or a path for a local run.

A source of the store is `store://NAME@sha256:DIGEST`. Without its digest it is not pinned: such a file validates and
plans, its stages marked; `xstilts pin` writes the digest, and a local run takes what the store has.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from xstilts.spec.fields import MUST
from xstilts.stage import InputRef

_HUB_PART = r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
HUB_ID = rf"{_HUB_PART}/{_HUB_PART}"
# Names as in xstilts.store.
STORE_URI = r"store://[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(@sha256:[0-9a-f]{64})?"
PATH = r"[./][^\x00-\x1f\x7f]*"

_STORE_WORDS = "`store://NAME@sha256:DIGEST` with 64 hexadecimal digits"
_PATH_WORDS = "a path that begins with '.' or '/' (for a local run)"

HubId = Annotated[
    str,
    Field(pattern=f"^{HUB_ID}$", max_length=256, json_schema_extra={MUST: "a hub id `organisation/name`"}),
]
Pretrained = Annotated[
    str,
    Field(
        pattern=f"^({HUB_ID}|{STORE_URI}|{PATH})$",
        max_length=1024,
        json_schema_extra={MUST: f"a hub id `organisation/name`, {_STORE_WORDS}, or {_PATH_WORDS}"},
    ),
]
DataSource = Annotated[
    str,
    Field(
        pattern=f"^({STORE_URI}|{PATH})$",
        max_length=1024,
        json_schema_extra={MUST: f"{_STORE_WORDS}, or {_PATH_WORDS}"},
    ),
]
Corpus = Annotated[
    str,
    Field(
        pattern=f"^(wikipedia|{STORE_URI}|{PATH})$",
        max_length=1024,
        json_schema_extra={MUST: f"wikipedia, {_STORE_WORDS}, or {_PATH_WORDS}"},
    ),
]


def store_input(source: str, mark: str) -> InputRef | None:
    """The input that a `store://` source names; None for any other source.

    `mark` stands for the digest of one that is not pinned, with the input's name: two such are never the same.
    """
    if re.fullmatch(STORE_URI, source) is None:
        return None
    name, _, digest = source.removeprefix("store://").partition("@sha256:")
    return InputRef(name=name, digest=digest or f"{mark}/{name}")


def is_unpinned_input(source: str) -> bool:
    """Whether a source is an input of the store without its digest."""
    return source.startswith("store://") and "@" not in source


def is_path(source: str) -> bool:
    """Whether a source is a path of the machine, which only a local run may name."""
    return source.startswith((".", "/"))


def is_hub_id(source: str) -> bool:
    """Whether a source is a repository of the hub."""
    return re.fullmatch(HUB_ID, source) is not None and not is_path(source)
