"""The chart's dashboards: what experiments have found, the stages that run, and how the operator fares.

`scripts/chart_files.py` writes them. A module a dashboard; `grafana` says how a panel is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from dashboards import experiments, health, stages
from dashboards.grafana import Panel, Variable, dashboard

_MADE: Final[dict[str, tuple[str, Sequence[Panel], Sequence[Variable]]]] = {
    "xstilts-experiments": ("xstilts: experiments", experiments.PANELS, experiments.VARIABLES),
    "xstilts-stages": ("xstilts: stages", stages.PANELS, stages.VARIABLES),
    "xstilts-operator": ("xstilts: the operator", health.PANELS, ()),
}


def dashboards() -> dict[str, str]:
    """File name -> its text."""
    return {
        f"{uid}.json": json.dumps(dashboard(uid, title, panels, variables), indent=1, ensure_ascii=False)
        + "\n"
        for uid, (title, panels, variables) in _MADE.items()
    }
