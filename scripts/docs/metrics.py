"""The metrics, as the operator exposes them: every one has been told something, and is then read."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Final

import yaml
from chart_files import CHART
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from docs.markdown import block, code, codes, table
from operator_progress.exposing import everything
from xstilts_operator.cache import Cache
from xstilts_operator.metrics.state import SERIES, StateCollector

OWN: Final = "xstilts_"
_BUCKET: Final = "le"  # the label that a histogram has of itself
PAGE = """# Metrics

The operator serves them at `/metrics` on port 8080. Beside these stand the Python client's own `process_*`, of the
operator's process. A metric of results has at most {series:,} series; `xstilts_dropped_series` says how many more there would
be. `serviceMonitor.enabled` in [the chart's values](helm-values.md) has the Prometheus Operator scrape them.

## From the resources' state

A restart of the operator loses none of these, and an experiment that is deleted takes its series with it.

{state}
## Of the operator itself

Names and meaning are those of controller-runtime where that has the same.

{own}
## Alerts

The rules of `charts/xstilts/files/alerts.yaml`; `prometheusRule.enabled` installs them. Each name leads to what to do.

{alerts}"""


def page() -> str:
    """The page."""
    state = list(StateCollector(Cache()).collect())
    return PAGE.format(
        series=SERIES,
        state=_table(state),
        own=_table(_beside({family.name for family in state})),
        alerts="\n".join(_alerts()),
    )


def _table(families: Iterable[Metric]) -> str:
    rows = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((code(name), family.type, codes(_labels(family)), family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


def _labels(family: Metric) -> Iterable[str]:
    """Those of its samples; one that a collector has made knows them without any."""
    if isinstance(family, GaugeMetricFamily):
        return family._labelnames  # noqa: SLF001 - there is no other word for it
    if not family.samples:
        raise ValueError(
            f"operator_progress.exposing must have {family.name} told something, so that its labels are known"
        )
    return dict.fromkeys(label for sample in family.samples for label in sample.labels if label != _BUCKET)


def _beside(state: Container[str]) -> Iterator[Metric]:
    """The project's own metrics, but those of the resources' state."""
    for family in everything(Cache()).collect():
        if family.name.startswith(OWN) and family.name not in state:
            yield family


def _alerts() -> Iterator[str]:
    rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            name = rule["alert"]
            held = f", for {rule['for']}" if "for" in rule else ""
            yield f"### [{name}](../runbooks.md#{name.lower()})\n"
            yield f"{rule['labels']['severity'].capitalize()}{held}.\n"
            yield block(rule["expr"], "text")
