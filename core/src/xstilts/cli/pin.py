"""`xstilts pin`: write commits and digests into an experiment file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.errors import EXIT_FAILED, Problem, SpecError
from xstilts.pinning import find_pins
from xstilts.pinning import pin as pin_text
from xstilts.spec.document import parse_document
from xstilts.spec.reading import read_text
from xstilts.store import Store, store_root


def pin(
    file: Annotated[Path, typer.Argument(help="The experiment file; it is rewritten in place.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 where something is not pinned.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(help="Store: a folder or URL. Default: $XSTILTS_STORE, else .xstilts/<store's name>."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace. Default: the file's, else default."),
    ] = None,
) -> None:
    """Pin an experiment file: hub commits and store digests are written into it, all else stays as it is.

    A hub model or data set without a commit gets the one that it is at now; one that has a commit keeps it.
    `store://NAME`, with or without a digest, gets the digest that was put last. A plain path is put into the store.
    HF_TOKEN and HF_ENDPOINT are honoured.

    \b
    Examples:
      xstilts pin experiment.yaml
      xstilts pin --check experiment.yaml
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    text = read_text(file)
    opened = _open(text, str(file), store, namespace)
    if check:
        pins = find_pins(text, str(file), file.parent, opened)
    else:
        pinned, pins = pin_text(text, str(file), file.parent, opened)
        if pins:
            _replace(file.resolve(), pinned)
    for one in pins:
        typer.echo(f"{one.field}: {one.value or 'not pinned'} ({one.what})")
    if not pins:
        typer.echo(f"{file}: everything is pinned")
    elif check:
        raise typer.Exit(EXIT_FAILED)


def _open(text: str, source: str, store: str | None, namespace: str | None) -> Store:
    """The store of a file that may not be valid before it is pinned."""
    document = parse_document(text, source).value
    name = _text_at(document, "spec", "store", "name")
    return Store.open(
        store_root(store, name), namespace or _text_at(document, "metadata", "namespace") or "default"
    )


def _text_at(value: Any, *path: str) -> str | None:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _replace(file: Path, text: str) -> None:
    """Write a file's new text so that a crash leaves the old one or the new one."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        partial.write_bytes(text.encode())
        shutil.copymode(file, partial)
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SpecError(
            Problem(str(file), f"must be a file that can be written: {error.strerror}")
        ) from error
