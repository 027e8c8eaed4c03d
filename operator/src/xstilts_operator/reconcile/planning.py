"""From a spec to the plan whose stages are run: made once, kept in a ConfigMap, and only ever grown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from xstilts.errors import SpecError
from xstilts.spec import Experiment
from xstilts.stage import Kind
from xstilts_operator.actions import Create, Object, Resource
from xstilts_operator.memory import Memory
from xstilts_operator.names import (
    API_VERSION,
    KIND_LABEL,
    MANAGED_BY,
    MANAGER,
    plan_name,
)
from xstilts_operator.plans import FrozenStage, PlanDocument, PlanError, accept, config_map
from xstilts_operator.reconcile.obstacles import Obstacle
from xstilts_operator.reconcile.owners import owned_by
from xstilts_operator.scenes import ExperimentScene
from xstilts_operator.settings import Settings
from xstilts_operator.views import ExperimentView

# By an experiment and the plan that it has: the spec that was not planned, and why. To find out again that a grid is too
# large takes a second, in which nothing else is decided, and every resync asks.
_REFUSED: Final[Memory[tuple[Experiment, Obstacle]]] = Memory(1_000)


@dataclass(frozen=True)
class Planned:
    """The plan that an experiment's stages come from; `create` makes its ConfigMap where it is not there."""

    name: str
    document: PlanDocument
    create: Create | None = None


def planned(scene: ExperimentScene, spec: Experiment, settings: Settings) -> Planned | Obstacle:
    """The plan of an experiment whose spec is `spec`: the one that it has where that covers it, else a new one."""
    experiment, before = scene.experiment, scene.plan
    if scene.plan_problem:
        return Obstacle("PlanUnsupported", scene.plan_problem, final=True)
    if before is not None and experiment.planned_generation == experiment.generation:
        return Planned(experiment.plan, before)
    asked = experiment.uid, before.content if before is not None else ""
    known = _REFUSED.get(asked)
    if known is not None and known[0] is spec:
        return known[1]
    try:
        document = accept(spec, experiment.uid, settings.images.trainer, before)
    except (SpecError, PlanError) as error:
        reason = error.reason if isinstance(error, PlanError) else "InvalidSpec"
        return _REFUSED.put(asked, (spec, Obstacle(reason, str(error), final=True)))[1]
    name = plan_name(document.name, experiment.uid, document.content)
    if document is before:
        return Planned(name, document)
    return Planned(name, document, Create(Resource.CONFIG_MAP, config_map(document, experiment.uid)))


def stage_bodies(
    experiment: ExperimentView, plan: PlanDocument, missing: Collection[str]
) -> tuple[Create, ...]:
    """The TransferStages of a plan that are not there, given by their keys, parents first."""
    if not missing:
        return ()
    texts = plan.texts()
    return tuple(
        Create(Resource.STAGE, _body(experiment, plan, one, texts[key]))
        for key, one in plan.stages.items()
        if key in missing
    )


def _body(experiment: ExperimentView, plan: PlanDocument, stage: FrozenStage, text: str) -> Object:
    """A TransferStage. Its key, kind and store are in its name: whoever makes it makes the same."""
    parents = [plan.stages[key] for key in stage.parents.values()]
    return {
        "apiVersion": API_VERSION,
        "kind": Resource.STAGE.value,
        "metadata": {
            "name": stage.name,
            "namespace": plan.namespace,
            "labels": {MANAGED_BY: MANAGER, KIND_LABEL: Kind(stage.kind).value},
            "ownerReferences": [owned_by(experiment)],
        },
        "spec": {
            "key": stage.key,
            "kind": stage.kind.value,
            "store": plan.store,
            "parents": dict(stage.parents),
            "parentStages": sorted({parent.name for parent in parents}),
            "stage": text,
            "title": stage.title,
            "tasks": list(stage.tasks),
        },
    }
