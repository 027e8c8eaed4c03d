"""The files of a report: the page, and its numbers for programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from xstilts.plan import Plan
from xstilts.report.page import render
from xstilts.report.provenance import collect
from xstilts.results import Results
from xstilts.results.primary import primary
from xstilts.results.primary_table import primary_table
from xstilts.results.text import to_csv, to_json
from xstilts.spec import Analysis
from xstilts.store import Store

PAGE: Final = "report.html"


def report_files(
    results: Results,
    plan: Plan,
    store: Store,
    *,
    analysis: Analysis,
    titles: Mapping[str, str],
    ran: Collection[str] = (),
) -> dict[str, str]:
    """File name -> text.

    Args:
        results: as for `render`.
        plan: as for `collect`, like `store`, `titles` and `ran`.
        store: what holds the artifacts.
        analysis: the primary answer that the experiment asks for.
        titles: of the stages.
        ran: the stages that this run has done.
    """
    answer = primary(results, analysis)
    table = primary_table(answer, results, analysis) if answer else None
    return {
        PAGE: render(results, collect(plan, store, titles=titles, ran=ran), table),
        "results.csv": to_csv(results),
        "results.json": to_json(results, answer),
    }
