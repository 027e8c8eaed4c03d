"""What can be chosen above a dashboard, and the matchers that the choice makes."""

from __future__ import annotations

from typing import Final

from dashboards.grafana import Variable

CHOSEN: Final = 'namespace=~"$namespace", experiment=~"$experiment"'

NAMESPACE: Final = Variable("namespace", "Namespace", "label_values(xstilts_experiments, namespace)")
EXPERIMENT: Final = Variable(
    "experiment",
    "Experiment",
    'label_values(xstilts_experiment_progress_ratio{namespace=~"$namespace"}, experiment)',
)
