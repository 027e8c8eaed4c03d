"""What experiments have found: deltas, transfer gaps, scores by language, and how far they are."""

from __future__ import annotations

from typing import Final

from dashboards.choices import CHOSEN, EXPERIMENT, NAMESPACE
from dashboards.grafana import Column, Panel, Variable, steps

_CELLS: Final = f'{CHOSEN}, model=~"$model", target=~"$target"'
_BASELINE: Final = f'{_CELLS}, intermediate="none"'
_AFTER: Final = f'{_CELLS}, intermediate=~"$intermediate", intermediate!="none"'

_OF_CELLS: Final = tuple(
    Variable(name, name.capitalize(), f"label_values(xstilts_experiment_score{{{CHOSEN}}}, {name})")
    for name in ("model", "intermediate", "target")
)
# Orange and blue are told apart by almost everybody; half a point to either side is left without colour.
_AROUND_ZERO: Final = {
    **steps("dark-orange", **{"light-orange": -3, "transparent": -0.5, "light-blue": 0.5, "dark-blue": 3}),
    "custom": {"cellOptions": {"type": "color-background", "mode": "basic"}, "align": "center"},
    "decimals": 1,
}

PANELS: Final = (
    Panel(
        "Experiments by reason",
        "How many there are, by the reason that their condition Succeeded gives.",
        {"{{reason}}": 'sum by (reason) (xstilts_experiments{namespace=~"$namespace"})'},
        "short",
        "bargauge",
        width=7,
    ),
    Panel(
        "Progress and cost",
        "How far each experiment is, how long it takes yet, and its GPU time: what it has paid for, and what it has not needed, "
        "as the store or another experiment had it.",
        {
            "progress": f"max by (experiment) (xstilts_experiment_progress_ratio{{{CHOSEN}}})",
            "left": f"max by (experiment) (xstilts_experiment_remaining_seconds{{{CHOSEN}}})",
            "spent": f"sum by (experiment) (xstilts_experiment_gpu_spent_seconds{{{CHOSEN}}})",
            "saved": f"sum by (experiment) (xstilts_experiment_gpu_saved_seconds{{{CHOSEN}}})",
        },
        "short",
        "table",
        width=17,
        columns=(
            Column("experiment"),
            Column("Value #A", "progress", "percentunit", bar=True),
            Column("Value #B", "time left", "s"),
            Column("Value #C", "GPU time spent", "s"),
            Column("Value #D", "GPU time saved", "s"),
        ),
        sort="experiment",
    ),
    Panel(
        "Delta by intermediate and target",
        "Points above (blue) or below (orange) the same model with no intermediate task, as the mean over the models and "
        "experiments that are chosen. It is no test of significance: the report has intervals.",
        {"": f"avg by (intermediate, target) (xstilts_experiment_delta{{{_AFTER}}})"},
        "none",
        "table",
        width=14,
        height=10,
        matrix=("intermediate", "target"),
        defaults=_AROUND_ZERO,
    ),
    Panel(
        "Transfer gap by model size",
        "English score minus the mean of the other languages, over targets: smaller is more robust. Models stand from the "
        "smallest to the largest, as far as the catalogue knows their parameters.",
        {
            "none": f"avg by (model) (xstilts_experiment_transfer_gap{{{_BASELINE}}})",
            "after": f"avg by (model) (xstilts_experiment_transfer_gap{{{_AFTER}}})",
            "parameters": f'max by (model) (xstilts_experiment_model_parameters{{{CHOSEN}, model=~"$model"}})',
        },
        "none",
        "barchart",
        width=10,
        height=10,
        columns=(
            Column("model"),
            Column("Value #A", "none"),
            Column("Value #B", "after intermediates"),
        ),
        sort="Value #C",
        defaults={"decimals": 1},
    ),
    Panel(
        "Score by language: $target",
        "Mean over the chosen models, experiments and seeds, in points of the target's metric: with no intermediate task, and "
        "the mean after those that are chosen.",
        {
            "none": f"avg by (language) (xstilts_experiment_language_score{{{_BASELINE}}})",
            "after": f"avg by (language) (xstilts_experiment_language_score{{{_AFTER}}})",
        },
        "none",
        "barchart",
        width=24,
        height=9,
        columns=(
            Column("language"),
            Column("Value #A", "none"),
            Column("Value #B", "after intermediates"),
        ),
        sort="-Value #A",
        repeat="target",
        defaults={"decimals": 1, "min": 0},
    ),
    Panel(
        "Results",
        "Score: the mean over languages and seeds, in points of the target's own metric. Delta: against the same model with no "
        "intermediate task. Gap: English minus the mean of the other languages.",
        {
            "score": f"avg by (target, model, intermediate) (xstilts_experiment_score{{{_CELLS}}})",
            "delta": f"avg by (target, model, intermediate) (xstilts_experiment_delta{{{_CELLS}}})",
            "gap": f"avg by (target, model, intermediate) (xstilts_experiment_transfer_gap{{{_CELLS}}})",
        },
        "none",
        "table",
        width=24,
        height=12,
        columns=(
            Column("target"),
            Column("model"),
            Column("intermediate"),
            Column("Value #A", "score"),
            Column("Value #B", "delta"),
            Column("Value #C", "gap"),
        ),
        sort="target",
        defaults={"decimals": 1},
    ),
)
VARIABLES: Final = (NAMESPACE, EXPERIMENT, *_OF_CELLS)
