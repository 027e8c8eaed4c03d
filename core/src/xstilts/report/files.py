"""The files of a report: the page, and its numbers for programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from xstilts.plan import Plan
from xstilts.report.page import render
from xstilts.report.provenance import collect
from xstilts.results import Results
from xstilts.results.text import to_csv, to_json
from xstilts.store import Store

PAGE: Final = "report.html"


def report_files(
    results: Results, plan: Plan, store: Store, *, titles: Mapping[str, str], ran: Collection[str] = ()
) -> dict[str, str]:
    """File name -> text. Arguments are as those of `xstilts.report.render` and `xstilts.report.collect`."""
    return {
        PAGE: render(results, collect(plan, store, titles=titles, ran=ran)),
        "results.csv": to_csv(results),
        "results.json": to_json(results),
    }
