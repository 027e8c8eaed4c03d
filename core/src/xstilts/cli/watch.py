"""`xstilts watch`: how far is an experiment, until it has come to its end?"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from xstilts.cli.output import STYLES, Output, OutputOption, lines, say
from xstilts.cli.places import (
    RESULTS,
    ClusterOption,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Place,
    ResultsOption,
    Target,
    Where,
)
from xstilts.cluster.client import DeniedError
from xstilts.errors import EXIT_FAILED, EXIT_SIGNALLED, UnavailableError
from xstilts.standing import ExperimentStanding, StageStanding, duration

TITLES = ("STATE", "%", "LEFT", "STAGE", "SCORE", "REASON")


def watch(
    target: Target,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and exit.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    output: OutputOption = Output.TEXT,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Watch an experiment's stages until it ends.

    It shows percent, time left, scores so far, and reasons. On a terminal it is a live table; elsewhere it prints a line for every change, with `-o json` a JSON document on each. It
    ends when the experiment does: exit code 0 if that has succeeded, 1 if not. Ctrl-C stops watching, and nothing else.

    \b
    Examples:
      xstilts watch my-experiment
      xstilts watch my-experiment --once -o json
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    name, place = Where(cluster, namespace, context, kubeconfig, results).find(target)
    console = Console()
    try:
        if once:
            _show(console, standing := place.standing(name), output)
        elif output is Output.TEXT and console.is_terminal:
            standing = _live(console, name, place, every)
        else:
            standing = _plain(console, name, place, every, output)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_SIGNALLED) from None
    if standing.succeeded is False:
        raise typer.Exit(EXIT_FAILED)


def headline(one: ExperimentStanding) -> str:
    """An experiment in a line."""
    parts = (
        [one.state, f"{one.percent or 0}%", f"{one.done} of {one.total} stages"] if one.total else [one.state]
    )
    parts += [f"{one.failed} failed"] if one.failed else []
    parts += [f"{duration(one.eta_seconds)} left"] if one.eta_seconds is not None else []
    parts += [f"best {one.best}"] if one.best else []
    return f"{one.name} ({one.place}): {', '.join(parts)}"


def _show(console: Console, one: ExperimentStanding, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(one.to_json(stages=True), ensure_ascii=False))
        return
    for line in _frame(console, one, len(one.stages)):
        console.print(line, soft_wrap=True, highlight=False)


def _live(console: Console, name: str, place: Place, every: float) -> ExperimentStanding:
    one = place.standing(name)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            frame = _frame(console, one, console.height - 5)
            live.update(Group(*frame), refresh=True)
            if one.over:
                break
            time.sleep(every)
            one = _next(place, name, one, live.console)
    _show(console, one, Output.TEXT)
    return one


def _plain(console: Console, name: str, place: Place, every: float, output: Output) -> ExperimentStanding:
    told: dict[str, StageStanding] = {}
    before = ""
    one = place.standing(name)
    while True:
        if output is Output.JSON:
            document = one.to_json(stages=True) | {"ageSeconds": None}
            text = json.dumps(document, ensure_ascii=False)
            if text != before:
                typer.echo(text)
        else:
            for stage in one.stages:
                if _differs(stage, told.get(stage.name)):
                    told[stage.name] = stage
                    say(console, f"  {stage.state:<11} {stage.title}{_more(stage)}")
            text = headline(one) + (f": {one.message}" if one.message else "")
            if text != before:
                say(console, text)
        before = text
        if one.over:
            return one
        time.sleep(every)
        one = _next(place, name, one, Console(stderr=True))


def _next(place: Place, name: str, one: ExperimentStanding, console: Console) -> ExperimentStanding:
    """It as it is now; as it was where the cluster does not answer for a while."""
    try:
        return place.standing(name)
    except DeniedError:
        raise
    except UnavailableError as error:
        say(console, f"{error}; asked again", "yellow")
        return one


def _differs(stage: StageStanding, before: StageStanding | None) -> bool:
    if before is None:
        return stage.state.value != "Pending"
    return (stage.state, stage.reason, stage.score) != (before.state, before.reason, before.score)


def _more(stage: StageStanding) -> str:
    return "".join(f"  {part}" for part in (stage.score, stage.reason) if part)


def _frame(console: Console, one: ExperimentStanding, rows: int) -> list[Text]:
    """The headline, why it does not go on, and as many stages as there is room for: first what runs or hangs."""
    shown = one.stages[: max(rows, 1)]
    frame = [Text(headline(one), STYLES.get(one.state, ""), no_wrap=True, overflow="ellipsis")]
    frame += [Text(one.message)] if one.message else []
    if shown:
        frame += [Text(""), *lines(console, TITLES, map(_row, shown))]
    rest = Counter(stage.state.value for stage in one.stages[len(shown) :])
    if rest:
        counted = ", ".join(f"{number} {state}" for state, number in rest.items())
        frame.append(Text(f"and {counted}", "dim"))
    return frame


def _row(stage: StageStanding) -> list[str]:
    return [
        stage.state.value,
        "" if stage.percent is None else str(stage.percent),
        "" if stage.eta_seconds is None else duration(stage.eta_seconds),
        stage.title,
        stage.score,
        stage.reason,
    ]
