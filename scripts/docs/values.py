"""The chart's values, from charts/xstilts/values.yaml as its README has them."""

from __future__ import annotations

from chart_files import CHART, table

PAGE = """# Helm values

Every value of the chart in `charts/xstilts`, with its default. `values.schema.json` beside them refuses a value that is
not in this list, or is of another type. [Installation on a cluster](../installation.md) says which ones to think about.

"""


def page() -> str:
    """The page."""
    return PAGE + table((CHART / "values.yaml").read_text(encoding="utf-8"))
