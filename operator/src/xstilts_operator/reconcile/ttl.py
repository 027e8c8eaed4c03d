"""An experiment goes ttlSecondsAfterFinished after its end, its own or the administrator's; the store keeps its artifacts."""

from __future__ import annotations

from datetime import datetime, timedelta

from xstilts_operator.actions import Decision, Delete
from xstilts_operator.reconcile.writes import wanted_so
from xstilts_operator.settings import Settings
from xstilts_operator.tolerant import seconds_until
from xstilts_operator.views import ExperimentView


def after_the_end(experiment: ExperimentView, settings: Settings, now: datetime) -> Decision:
    """What is left to do for an experiment that has come to its end."""
    kept = experiment.ttl if experiment.ttl is not None else settings.ttl_seconds_after_finished
    if kept is None or experiment.completed is None:
        return Decision()
    left = seconds_until(experiment.completed + timedelta(seconds=kept), now)
    if left > 0:
        return Decision(again_in=left)
    return Decision((Delete(experiment.reference, "Background", (wanted_so(experiment),)),))
