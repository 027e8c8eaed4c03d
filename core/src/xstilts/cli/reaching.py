"""Options of the commands that bring folders into a store and out of it, and the store of a cluster that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from xstilts.cli.places import Where
from xstilts.cluster.access import RemoteStore
from xstilts.cluster.stores import reach
from xstilts.store.location import DEFAULT_NAME

AnyStoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Store: a folder or URL, by default $XSTILTS_STORE, else .xstilts/default; with --cluster the name of one of the "
        "administrator's, by default `default`.",
    ),
]
StoreClusterOption = Annotated[
    bool | None,
    typer.Option(
        "--cluster/--local",
        help="Whether the store is one of the cluster's. Default: this machine's (as kubectl's plugin, the cluster's).",
    ),
]
StoreNamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: default; with --cluster, the context's."),
]
ClaimOption = Annotated[
    str | None,
    typer.Option("--claim", help="With --cluster: the store's volume claim, if the cluster does not say it."),
]
ImageOption = Annotated[
    str | None,
    typer.Option("--image", help="With --cluster: the operator's image, if the cluster does not say it."),
]


@dataclass(frozen=True)
class PodOptions:
    """The options --claim and --image."""

    claim: str | None
    image: str | None


def remote_store(where: Where, store: str | None, said: PodOptions) -> RemoteStore:
    """The store of a cluster's namespace; what its pod does is told on standard error.

    Raises:
        UserError: there is no such cluster or store.
    """
    place = where.on_cluster()
    reached = reach(place.client, place.namespace, store or DEFAULT_NAME, claim=said.claim, image=said.image)
    return RemoteStore(place.client, place.namespace, reached, lambda line: typer.echo(line, err=True))
