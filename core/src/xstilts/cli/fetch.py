"""`xstilts fetch`: what a store holds becomes a folder here."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.cli.places import (
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Where,
    complete_name,
)
from xstilts.cli.reaching import AnyStoreOption, ClaimOption, ImageOption, PodOptions, remote_store
from xstilts.errors import Problem, UserError
from xstilts.store import FileEntry, Store, store_root
from xstilts.store.stream import copy_out
from xstilts.store.wanted import find, parse


def fetch(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="An experiment or reports/EXPERIMENT[/FILE], a stage's key (or its first digits), or store://NAME.",
            autocompletion=complete_name,
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder; it must not be there, or be empty.")
    ],
    *,
    store: AnyStoreOption = None,
    namespace: NamespaceOption = None,
    cluster: ClusterOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    claim: ClaimOption = None,
    image: ImageOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Copy a report, a stage's files or an input out of the store.

    Every hash is verified. The folder is there whole or not at all. With --cluster a pod of your own mounts the store, for as long as the files
    come over.

    \b
    Examples:
      xstilts fetch my-experiment report --cluster
      xstilts fetch 0f3a5b7c model --store s3://bucket/experiments -n team-a
      xstilts fetch store://my-task data
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    wanted = parse(what)
    where = Where(cluster, namespace, context, kubeconfig)
    with _whole(folder) as draft:
        if where.chosen:
            written = remote_store(where, store, PodOptions(claim, image)).fetch(what, draft)
        else:
            found = find(Store.open(store_root(store), namespace or "default"), wanted)
            written = copy_out(found, draft)
    _tell(what, folder, written, output)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside, which becomes `folder` at the end of the block and is gone where that fails."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            Problem(str(folder), "must be a folder that is not there yet, or empty; name another one")
        )
    place = folder.absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.parent / f".{place.name}.{secrets.token_hex(4)}"
    draft.mkdir()
    try:
        yield draft
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _tell(what: str, folder: Path, written: dict[str, FileEntry], output: Output) -> None:
    size = sum(one.size for one in written.values())
    if output is Output.JSON:
        files = {path: one.model_dump() for path, one in sorted(written.items())}
        print_json({"what": what, "folder": str(folder), "bytes": size, "files": files})
    else:
        typer.echo(f"{folder}: {len(written)} file{'' if len(written) == 1 else 's'}, {size} bytes, verified")
