"""`xstilts explain`: why does an experiment not advance?"""

from __future__ import annotations

from rich.console import Console

from xstilts.cli.output import STYLES, Output, OutputOption, print_json, say
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


def explain(
    target: Target,
    *,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Say why an experiment does not advance, and what to do.

    It is one reason, found in the experiment's conditions, in its stages, in the Events about them and in the last line of the log.

    \b
    Examples:
      xstilts explain my-experiment
      xstilts explain my-experiment -o json
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    found = place.explain(name)
    if output is Output.JSON:
        print_json(found.to_json())
        return
    console = Console()
    advancing = ", it advances" if found.advancing else ""
    say(console, f"{found.name} ({found.place}): {found.state}{advancing}", STYLES.get(found.state, ""))
    for label, text in (
        ("stage", found.stage),
        ("reason", found.reason),
        ("event", found.event),
        ("log", found.log),
        ("do", found.remedy),
    ):
        if text:
            say(console, f"  {label:<7} {text}")
