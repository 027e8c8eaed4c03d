"""From a key to its decision: what the cache knows around it, and what is to be done about that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from xstilts_operator.actions import Decision, Resource
from xstilts_operator.observe import Observatory
from xstilts_operator.reconcile.experiment import reconcile_experiment
from xstilts_operator.reconcile.stage import reconcile_stage
from xstilts_operator.routing import Key
from xstilts_operator.scenes import ExperimentScene
from xstilts_operator.settings import Settings
from xstilts_operator.views import ClaimView


@dataclass(frozen=True)
class Decider:
    """Sees and decides.

    `claim_of`: what is known of the volume claim of a store (its name), in a namespace. `refused`: see the controller.
    """

    observatory: Observatory
    settings: Settings
    claim_of: Callable[[str, str], ClaimView | None] = lambda _namespace, _store: None
    refused: Mapping[Key, str] = field(default_factory=dict)

    def __call__(self, key: Key, now: datetime) -> Decision:
        """The decision about an experiment or a stage; an empty one where there is no such object."""
        if key.resource is Resource.EXPERIMENT:
            experiment = self.observatory.experiment(key.namespace, key.name, now)
            if experiment is None:
                return Decision()
            experiment = replace(self._with_claim(experiment), refused=self.refused.get(key, ""))
            return reconcile_experiment(experiment, self.settings, now)
        stage = self.observatory.stage(key.namespace, key.name, now)
        if stage is None:
            return Decision()
        return reconcile_stage(replace(stage, refused=self.refused.get(key, "")), self.settings, now)

    def _with_claim(self, scene: ExperimentScene) -> ExperimentScene:
        """The same scene with the claim of the store that the experiment names."""
        said = scene.experiment.experiment
        claim = self.claim_of(scene.experiment.namespace, said.spec.store.name) if said else None
        return scene if claim is None else replace(scene, claim=claim)
