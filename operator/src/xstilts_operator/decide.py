"""From a key to its decision: what the cache knows around it, and what is to be done about that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xstilts_operator.actions import Decision, Resource
from xstilts_operator.observe import Observatory
from xstilts_operator.reconcile.experiment import reconcile_experiment
from xstilts_operator.reconcile.stage import reconcile_stage
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings


@dataclass(frozen=True)
class Decider:
    """Sees and decides."""

    observatory: Observatory
    settings: Settings

    def __call__(self, key: Key, now: datetime) -> Decision:
        """The decision about an experiment or a stage; an empty one where there is no such object."""
        if key.resource is Resource.EXPERIMENT:
            experiment = self.observatory.experiment(key.namespace, key.name, now)
            return Decision() if experiment is None else reconcile_experiment(experiment, self.settings, now)
        stage = self.observatory.stage(key.namespace, key.name, now)
        return Decision() if stage is None else reconcile_stage(stage, self.settings, now)
