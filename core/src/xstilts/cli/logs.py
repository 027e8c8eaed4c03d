"""`xstilts logs`: what does a stage say?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.output import Output, OutputOption, print_json, say
from xstilts.cli.places import (
    RESULTS,
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    ResultsOption,
    Target,
    Where,
)
from xstilts.errors import EXIT_SIGNALLED


def logs(
    target: Target,
    *,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Part of a stage's title or name, as `watch` shows it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until it ends.")] = False,
    tail: Annotated[int, typer.Option(min=1, help="So many of the last lines.")] = 200,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Show the log of one stage.

    Of the first that failed, else of one that runs, else of the last. On a cluster it is that of the last attempt's pod; where that is gone, what the stage's status keeps of a failure.

    \b
    Examples:
      xstilts logs my-experiment
      xstilts logs my-experiment --stage "train xnli" -f
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    chosen, lines = place.log(name, stage, tail=tail, follow=follow and output is Output.TEXT)
    if output is Output.JSON:
        print_json({"stage": chosen.to_json(), "lines": list(lines)})
        return
    say(Console(stderr=True), f"{chosen.title} ({chosen.state}, {chosen.name})", "dim")
    try:
        for line in lines:
            typer.echo(line)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_SIGNALLED) from None
