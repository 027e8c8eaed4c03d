"""`xstilts put`: a folder becomes an input that any experiment can name."""

from __future__ import annotations

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
)
from xstilts.cli.reaching import AnyStoreOption, ClaimOption, ImageOption, PodOptions, remote_store
from xstilts.stage import InputRef
from xstilts.store import Store, store_root


def put(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What the input is called: letters, digits, '.', '_' and '-'."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with its files.")],
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
    """Put a folder into the store, and print what to name it by.

    The folder is a model's checkpoint, or a task's files. The digest stands for the files' paths and bytes: the same folder has the same name on any machine, and putting it
    again changes nothing. Hidden files are left out. Links are followed inside the folder only.

    With --cluster a pod of your own mounts the store, for as long as the folder goes over.

    \b
    Examples:
      xstilts put my-model ./checkpoint
      xstilts put my-task ./data --store s3://bucket/experiments -n team-a
      xstilts put my-task ./data --cluster -n team-a
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    where = Where(cluster, namespace, context, kubeconfig)
    if where.chosen:
        reference = remote_store(where, store, PodOptions(claim, image)).put(name, folder)
    else:
        reference = str(Store.open(store_root(store), namespace or "default").put(name, folder))
    if output is Output.JSON:
        digest = InputRef(name=name, digest=reference.rpartition(":")[2]).digest
        print_json({"name": name, "reference": reference, "digest": digest})
    else:
        typer.echo(reference)
