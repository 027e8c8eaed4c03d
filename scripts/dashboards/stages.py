"""The stages that run, with the time that they take yet, and where all of them stand."""

from __future__ import annotations

from typing import Final

from dashboards.choices import CHOSEN, EXPERIMENT, NAMESPACE
from dashboards.grafana import Column, Panel

_STATE_COLOURS: Final = {
    "Pending": "text",
    "Waiting": "orange",
    "Active": "blue",
    "Succeeded": "green",
    "Failed": "red",
}
_LABELS: Final = "experiment, kind, stage"
PANELS: Final = (
    Panel(
        "Running stages",
        "What runs, for the experiment that pays for it; the seeds of a stage are one row. Progress is their mean, the time left "
        "that of the last to end, both as their pods have told them; a stage whose pod tells nothing has none.",
        {
            "running": f"sum by ({_LABELS}) (xstilts_running_stages{{{CHOSEN}}})",
            "progress": f"avg by ({_LABELS}) (xstilts_running_stage_progress_ratio{{{CHOSEN}}})",
            "left": f"max by ({_LABELS}) (xstilts_running_stage_remaining_seconds{{{CHOSEN}}})",
        },
        "short",
        "table",
        width=24,
        height=10,
        columns=(
            Column("experiment"),
            Column("stage"),
            Column("kind"),
            Column("Value #A", "running"),
            Column("Value #B", "progress", "percentunit", bar=True),
            Column("Value #C", "time left", "s"),
        ),
        sort="-Value #C",
    ),
    Panel(
        "Stages by state",
        "Waiting is between two attempts; pending has not begun.",
        {"{{state}}": 'sum by (state) (xstilts_stages{namespace=~"$namespace"})'},
        "short",
        colours=_STATE_COLOURS,
        defaults={"custom": {"stacking": {"mode": "normal"}, "fillOpacity": 40}, "min": 0},
    ),
    Panel(
        "Stages by kind",
        "How many of each kind stand where, now.",
        {"": 'sum by (kind, state) (xstilts_stages{namespace=~"$namespace"})'},
        "short",
        "table",
        matrix=("kind", "state"),
    ),
    Panel(
        "Time left",
        "Until an experiment's last stage ends, by what stages of its kind have taken and what runs has told.",
        {"{{experiment}}": f"max by (experiment) (xstilts_experiment_remaining_seconds{{{CHOSEN}}})"},
        "s",
        defaults={"min": 0},
    ),
    Panel(
        "Progress of experiments",
        "Of all stages of an experiment.",
        {"{{experiment}}": f"max by (experiment) (xstilts_experiment_progress_ratio{{{CHOSEN}}})"},
        "percentunit",
        defaults={"min": 0, "max": 1},
    ),
    Panel(
        "GPU time",
        "What experiments have paid for, and what they have not needed, as the store or another experiment had it.",
        {
            "spent": f"sum(xstilts_experiment_gpu_spent_seconds{{{CHOSEN}}})",
            "saved": f"sum(xstilts_experiment_gpu_saved_seconds{{{CHOSEN}}})",
        },
        "s",
        width=24,
        defaults={"min": 0},
    ),
)
VARIABLES: Final = (NAMESPACE, EXPERIMENT)
