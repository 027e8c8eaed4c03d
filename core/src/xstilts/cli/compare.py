"""`xstilts compare`: what differs between two experiments?"""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from xstilts.cli.loaded import load
from xstilts.cli.opening import StoreOption
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
from xstilts.cli.results import print_table
from xstilts.results.compare import Compared, compare, compared_table

FIELDS_SHOWN = 16


def compare_experiments(
    first: Target,
    second: Target,
    *,
    output: OutputOption = Output.TEXT,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Compare the scores and the specs of two experiments.

    Scores are matched by the names of model, intermediate and target. Below stands in which fields of the spec they
    differ, and what only one of them has scored.

    \b
    Examples:
      xstilts compare a.yaml b.yaml
      xstilts compare my-experiment another -o json
    """  # noqa: D301 - `\b` keeps the lines below it as they are
    where = Where(cluster, namespace, context, kubeconfig, results)
    loaded = [load(target, where, store) for target in (first, second)]
    found = compare(*((one.experiment, one.results) for one in loaded))
    names = _names(first, second, loaded[0].experiment.metadata.name, loaded[1].experiment.metadata.name)
    if output is Output.JSON:
        print_json(
            {
                "first": {"name": names[0], "place": loaded[0].place, "partial": found.partial[0]},
                "second": {"name": names[1], "place": loaded[1].place, "partial": found.partial[1]},
                "rows": [row.to_json() for row in found.rows],
                "only": [[list(cell) for cell in cells] for cells in found.only],
                "fields": [{"field": field, "first": a, "second": b} for field, a, b in found.fields],
            }
        )
        return
    console = Console()
    if found.rows:
        print_table(compared_table(found, names))
    else:
        say(console, f"{names[0]} and {names[1]} have scored nothing in common")
    for line in _differences(found, names):
        say(console, line)


def _names(first: str, second: str, *names: str) -> tuple[str, str]:
    """The experiments' names, or what was typed where they are called alike."""
    return (first, second) if names[0] == names[1] else (names[0], names[1])


def _differences(found: Compared, names: tuple[str, str]) -> list[str]:
    said = []
    for name, cells in zip(names, found.only, strict=True):
        if cells:
            shown = "; ".join(" / ".join(cell) for cell in cells[:4])
            more = f"; and {len(cells) - 4} more" if len(cells) > 4 else ""
            said.append(f"only {name} has scored: {shown}{more}")
    said.append("Their specs are equal." if not found.fields else "Their specs differ in:")
    said += [f"  {field}: {_short(a)} -> {_short(b)}" for field, a, b in found.fields[:FIELDS_SHOWN]]
    if len(found.fields) > FIELDS_SHOWN:
        said.append(f"  and {len(found.fields) - FIELDS_SHOWN} more fields (-o json has them)")
    return said


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
