"""`xstilts put`: a folder becomes an input that any experiment can name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.opening import NamespaceOption, StoreOption
from xstilts.cli.output import Output, OutputOption, print_json
from xstilts.store import Store, store_root


def put(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What the input is called: letters, digits, '.', '_' and '-'."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with its files.")],
    *,
    store: StoreOption = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Put a folder (a model's checkpoint, or a task's files) into the store, and print what to name it by.

    The digest stands for the files' paths and bytes: the same folder has the same name on any machine, and putting it
    again changes nothing. Hidden files are left out. Links are followed inside the folder only.

    \b
    Examples:
      xstilts put my-model ./checkpoint
      xstilts put my-task ./data --store s3://bucket/experiments -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    reference = Store.open(store_root(store), namespace or "default").put(name, folder)
    if output is Output.JSON:
        print_json({"name": name, "reference": str(reference), "digest": reference.digest})
    else:
        typer.echo(reference)
