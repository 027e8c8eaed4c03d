"""Whose a stage is: every experiment that is there and needs it, none of them its controller."""

from __future__ import annotations

from collections.abc import Iterable

from xstilts_operator.actions import Object, Reference, Resource, Seen, SetOwners
from xstilts_operator.api import owner_reference
from xstilts_operator.names import is_name
from xstilts_operator.scenes import StageScene
from xstilts_operator.views import ExperimentView, StageView


def owned_by(experiment: ExperimentView) -> Object:
    """The owner reference of an experiment that needs a stage: one of several, so none is its controller."""
    return owner_reference(experiment.reference, controller=False)


def set_owners(scene: StageScene) -> SetOwners | None:
    """The stage's owners as they must be; None where they are.

    A stage that nobody needs any more keeps its owners: they are gone, and so Kubernetes collects it.
    """
    stage = scene.stage
    owners = _in_order(stage, [one for one in scene.needed_by if not one.deleting])
    if not owners or [one.uid for one in owners] == [owner.uid for owner in stage.owners]:
        return None
    return SetOwners(stage.reference, tuple(map(owned_by, owners)), stage.version, unknown(scene))


def unknown(scene: StageScene) -> tuple[Seen, ...]:
    """The experiments that the stage itself names, and that are not known: gone, or not heard of yet."""
    stage, known = scene.stage, {one.uid for one in scene.needed_by}
    named = {owner.uid: owner.name for owner in stage.owners if owner.kind == Resource.EXPERIMENT}
    if stage.active and stage.attempt is not None:
        named[stage.attempt.experiment_uid] = stage.attempt.experiment
    return tuple(
        Seen(Reference(Resource.EXPERIMENT, stage.namespace, name, uid), "")
        for uid, name in named.items()
        if uid not in known and is_name(name)
    )


def _in_order(stage: StageView, needed_by: Iterable[ExperimentView]) -> list[ExperimentView]:
    """Those that own it already first, as they stand there; so two writers agree."""
    places = {owner.uid: place for place, owner in enumerate(stage.owners)}
    return sorted(needed_by, key=lambda one: (places.get(one.uid, len(places)), one.uid))
