"""Which experiment a command is about, and where it is: on this machine or on a cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from xstilts.cli.plugin import is_plugin
from xstilts.cluster.client import Client, names_cluster
from xstilts.cluster.place import ClusterPlace
from xstilts.errors import Problem, UserError
from xstilts.local.place import LocalPlace
from xstilts.spec import Experiment, load_experiment

Place: TypeAlias = LocalPlace | ClusterPlace
RESULTS = Path("results")


def complete_name(incomplete: str) -> list[str]:
    """The experiments whose name begins so: those that were run here, else those of the current context."""
    names = LocalPlace(RESULTS).names() if not is_plugin() else []
    if not names:
        try:
            names = ClusterPlace(Client.connect()).names()
        except UserError:
            names = []
    return [name for name in names if name.startswith(incomplete)]


Target = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE", help="The experiment: its name, or its file.", autocompletion=complete_name
    ),
]
ClusterOption = Annotated[
    bool | None,
    typer.Option(
        "--cluster/--local",
        help="Where to look. Default: this machine if it was run here (not as kubectl's plugin), else the cluster.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: the file's, else the context's."),
]
ContextOption = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig. Default: its current one.")
]
KubeconfigOption = Annotated[
    str | None,
    typer.Option("--kubeconfig", help="How to reach the cluster. Default: $KUBECONFIG, else ~/.kube/config."),
]
ResultsOption = Annotated[Path, typer.Option("--results", help="Folder of the local runs.")]


@dataclass(frozen=True)
class Where:
    """The options that say where; see them."""

    cluster: bool | None = None
    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    results: Path = RESULTS

    @property
    def chosen(self) -> bool | None:
        """Whether it is a cluster; None where nobody has said."""
        if self.cluster is None and (self.context or self.kubeconfig or is_plugin()):
            return True
        return self.cluster

    @property
    def local(self) -> LocalPlace:
        """This machine."""
        return LocalPlace(self.results)

    def on_cluster(self, namespace: str | None = None) -> ClusterPlace:
        """The cluster; `namespace` holds where no option names one."""
        client = Client.connect(self.kubeconfig, self.context)
        return ClusterPlace(client, self.namespace or namespace)

    def find(self, target: str) -> tuple[str, Place]:
        """The name of an experiment, and where it is.

        Raises:
            UserError: the file is not valid, or there is no such place.
        """
        experiment = file_experiment(target)
        name = experiment.metadata.name if experiment else target
        chosen = self.chosen
        if chosen is False or (chosen is None and self.local.has(name, self.namespace)):
            return name, self.local
        namespace = experiment.metadata.namespace if experiment else None
        if chosen:
            return name, self.on_cluster(namespace)
        try:
            place = self.on_cluster(namespace)
            place.get(name)
        except (
            UserError
        ) as error:  # which may be of a cluster that nobody has thought of: say why it was asked
            causes = error.problems if names_cluster() else ()
            raise type(error)(self._not_here(name, asked=bool(causes)), *causes) from None
        return name, place

    def _not_here(self, name: str, *, asked: bool) -> Problem:
        known = ", ".join(self.local.names()) or "none"
        within = f" in namespace {self.namespace}" if self.namespace else ""
        cluster = "the cluster has not given it either:" if asked else "no cluster is configured"
        return Problem(
            f"experiment {name}",
            f"must have been run on this machine or be on a cluster; {self.results} has no record of it{within} "
            f"(there: {known}), and {cluster}",
        )


def file_experiment(target: str) -> Experiment | None:
    """The experiment of a file; None where `target` is a name.

    Raises:
        SpecError: it is a file, and not valid.
    """
    is_file = target.endswith((".yaml", ".yml", ".json")) or os.sep in target
    return load_experiment(Path(target)) if is_file else None
