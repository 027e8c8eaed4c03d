"""How the operator fares: its alerts, queue, decisions, requests, watches, reports of progress, and its process."""

from __future__ import annotations

from typing import Final

from dashboards.grafana import Column, Panel, steps

# Of the operator's own process alone: others have metrics of these names too.
_OURS: Final = "and on (job, instance) xstilts_build_info"

PANELS: Final = (
    Panel(
        "Version",
        "What runs.",
        {"{{version}}, Python {{python}}, kopf {{kopf}}": "xstilts_build_info"},
        "short",
        "stat",
        width=9,
        height=4,
        options={"textMode": "name"},
    ),
    Panel(
        "Up for",
        "How long ago the operator's process began. The first full lists take it some seconds.",
        {"up": f"time() - (process_start_time_seconds {_OURS})"},
        "s",
        "stat",
        width=5,
        height=4,
    ),
    Panel(
        "Oldest key",
        "For how long the experiment or stage that has waited longest has waited.",
        {"oldest": "max(xstilts_workqueue_oldest_key_seconds)"},
        "s",
        "stat",
        width=5,
        height=4,
        defaults=steps("green", orange=60, red=300),
    ),
    Panel(
        "Series left out",
        "Series that metrics leave out because there are too many: 0 where all are there.",
        {"left out": "sum(xstilts_dropped_series)"},
        "short",
        "stat",
        width=5,
        height=4,
        defaults=steps("green", orange=1),
    ),
    Panel(
        "Alerts",
        "The chart's alerts that fire or soon will, where this Prometheus evaluates them. docs/runbooks.md has a section for each.",
        {"": 'sum by (alertname, severity, alertstate) (ALERTS{alertname=~"Xstilts.*"})'},
        "short",
        "table",
        height=8,
        columns=(
            Column("alertname", "alert"),
            Column("severity"),
            Column("alertstate", "state"),
            Column("Value", "how many"),
        ),
        sort="alertstate",
    ),
    Panel(
        "Queue",
        "Keys that wait for a worker; what came to wait, and what failed and comes again, a second.",
        {
            "depth": "sum(xstilts_workqueue_depth)",
            "adds a second": "sum(rate(xstilts_workqueue_adds_total[$__rate_interval]))",
            "retries a second": "sum(rate(xstilts_workqueue_retries_total[$__rate_interval]))",
        },
        "short",
        defaults={"min": 0},
    ),
    Panel(
        "Time in the queue",
        "99 of 100 keys waited for a worker, and were worked on, for no longer.",
        {
            "waits": "histogram_quantile(0.99, sum by (le) (rate(xstilts_workqueue_queue_duration_seconds_bucket[$__rate_interval])))",
            "work": "histogram_quantile(0.99, sum by (le) (rate(xstilts_workqueue_work_duration_seconds_bucket[$__rate_interval])))",
        },
        "s",
        defaults={"min": 0},
    ),
    Panel(
        "Decisions",
        "Decisions a second by how they ended. `broken` is a fault of the operator; `overtaken` is not: somebody else wrote first.",
        {"{{outcome}}": "sum by (outcome) (rate(xstilts_reconcile_total[$__rate_interval]))"},
        "ops",
        colours={"done": "green", "overtaken": "text", "failed": "orange", "broken": "red"},
        defaults={"min": 0},
    ),
    Panel(
        "Time of a decision",
        "99 of 100 decisions, with what they did, took no longer.",
        {
            "{{kind}}": "histogram_quantile(0.99, sum by (kind, le) (rate(xstilts_reconcile_duration_seconds_bucket[$__rate_interval])))"
        },
        "s",
        defaults={"min": 0},
    ),
    Panel(
        "Requests to the API server",
        "A second, by HTTP status; `lost` had no answer. 404 and 409 are answers that the operator reckons with.",
        {"{{code}}": "sum by (code) (rate(xstilts_api_requests_total[$__rate_interval]))"},
        "reqps",
        defaults={"min": 0},
    ),
    Panel(
        "Time of a request",
        "99 of 100 requests took no longer.",
        {
            "{{verb}}": "histogram_quantile(0.99, sum by (verb, le) (rate(xstilts_api_request_duration_seconds_bucket[$__rate_interval])))"
        },
        "s",
        defaults={"min": 0},
    ),
    Panel(
        "Silence of the watches",
        "How long each watch has told nothing. A quiet namespace has quiet watches; what a list finds that no watch told is the "
        "sign of a dead one.",
        {"{{kind}}": "max by (kind) (xstilts_watch_age_seconds)"},
        "s",
        defaults={"min": 0},
    ),
    Panel(
        "Full lists",
        "Lists that came in, and changes in them that no watch had told, a second.",
        {
            "lists": "sum(rate(xstilts_lists_total[$__rate_interval]))",
            "untold changes": "sum(rate(xstilts_list_untold_changes_total[$__rate_interval]))",
        },
        "ops",
        defaults={"min": 0},
    ),
    Panel(
        "Reports of progress",
        "Reports a second by the status of their answer, what became of their write, and how many stages' reports wait for it.",
        {
            "HTTP {{code}}": "sum by (code) (rate(xstilts_progress_reports_total[$__rate_interval]))",
            "{{outcome}}": "sum by (outcome) (rate(xstilts_progress_writes_total[$__rate_interval]))",
            "waiting": "sum(xstilts_progress_pending_reports)",
        },
        "short",
        defaults={"min": 0},
    ),
    Panel(
        "Processor",
        "Seconds of a processor a second, of the operator's process. It computes on one: at 1 it has too little.",
        {"used": f"rate(process_cpu_seconds_total[$__rate_interval]) {_OURS}"},
        "none",
        defaults={"min": 0},
    ),
    Panel(
        "Memory",
        "Of the operator's process. The container's limit is `operator.resources` of the chart's values.",
        {"resident": f"process_resident_memory_bytes {_OURS}"},
        "bytes",
        defaults={"min": 0},
    ),
)
