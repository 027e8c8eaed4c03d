"""`xstilts pin`: write commits and digests into an experiment file."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.opening import NamespaceOption, StoreOption, open_experiment
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.errors import EXIT_FAILED, Problem, SpecError
from xstilts.pinning import find_pins
from xstilts.pinning import pin as pin_text
from xstilts.spec.reading import read_text
from xstilts.store.files import write_synced


def pin(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The experiment file; it is rewritten in place.")
    ],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 if something is not pinned.")
    ] = False,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write hub commits and store digests into an experiment file.

    A hub model or data set without a commit gets the one that it is at now; one that has a commit keeps it.
    `store://NAME`, with or without a digest, gets the digest that was put last. A plain path is put into the store. The rest
    of the file stays as it is. HF_TOKEN and HF_ENDPOINT are honoured.

    \b
    Examples:
      xstilts pin experiment.yaml
      xstilts pin --check experiment.yaml
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    opened = open_experiment(file, store, namespace).store
    text = read_text(file)
    if check:
        pins = find_pins(text, str(file), file.parent, opened)
    else:
        pinned, pins = pin_text(text, str(file), file.parent, opened)
        if pins:
            _replace(file.resolve(), pinned)
    if output is Output.JSON:
        said = [{"field": one.field, "what": one.what, "value": one.value} for one in pins]
        print_json({"file": str(file), "pinned": not (check and pins), "pins": said})
    else:
        for one in pins:
            typer.echo(f"{one.field}: {one.value or 'not pinned'} ({one.what})")
        if not pins:
            typer.echo(f"{file}: everything is pinned")
    if pins and check:
        raise typer.Exit(EXIT_FAILED)


def _replace(file: Path, text: str) -> None:
    """Write a file's new text so that a crash leaves the old one or the new one."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        write_synced(partial, text.encode())
        shutil.copymode(file, partial)
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SpecError(
            Problem(str(file), f"must be a file that can be written: {error.strerror}")
        ) from error
