"""What keeps an experiment from being planned or run at all, before any of its stages is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xstilts.spec import Experiment
from xstilts_operator.jobs import problems
from xstilts_operator.settings import Settings, StoreSettings
from xstilts_operator.views import ClaimView, ExperimentView

QUEUE_UNAVAILABLE = "QueueUnavailable"
MESSAGE_LIMIT = 4096
LOOK_AGAIN_SECONDS: Final = 15.0  # at what nothing tells of


@dataclass(frozen=True)
class Obstacle:
    """Why an experiment goes no further. `final`: it will not before its spec is another.

    `again_in`: in how many seconds it is to be looked at again, where nothing will tell that it is gone.
    """

    reason: str
    message: str
    final: bool = False
    again_in: float | None = None


@dataclass(frozen=True)
class Admissible:
    """An experiment that can run here: its spec, and the store that it may use."""

    spec: Experiment
    store: StoreSettings


def examined(
    experiment: ExperimentView, settings: Settings, *, kueue: bool, claim: ClaimView | None = None
) -> Admissible | Obstacle:
    """The first thing that is in an experiment's way, or that nothing is.

    `kueue`: whether the API server knows it. `claim`: its store's, where that is known.
    """
    if experiment.experiment is None:
        said = "; ".join(map(str, experiment.problems)) or "its spec cannot be read"
        return Obstacle("InvalidSpec", said[:MESSAGE_LIMIT], final=True)
    spec = experiment.experiment.spec
    wrong = list(problems(spec.resources, settings.pods.placement))
    if wrong:
        return Obstacle("InvalidSpec", "; ".join(map(str, wrong))[:MESSAGE_LIMIT], final=True)
    store = settings.store(spec.store.name, experiment.namespace)
    if store is None:
        known = ", ".join(settings.stores_of(experiment.namespace)) or "none"
        return Obstacle(
            "StoreUnknown",
            f"spec.store.name: must be a store that this namespace may use ({known}), was {spec.store.name!r}",
        )
    unfit = None if claim is None else _unfit(spec.store.name, store, claim)
    if unfit is not None:
        return unfit
    if spec.queue_name is not None and not (settings.kueue and kueue):
        return Obstacle(
            QUEUE_UNAVAILABLE,
            f"spec.queueName: is {spec.queue_name!r}, and the operator runs without Kueue; "
            "install it and switch it on in the operator's settings, or leave queueName out",
        )
    return Admissible(experiment.experiment, store)


def refusal(experiment: ExperimentView, words: str) -> Obstacle | None:
    """That the API server refuses what an experiment needs, where that has not been said in these words yet."""
    if not words:
        return None
    said = Obstacle(
        "Refused",
        f"the API server refuses what it needs, which is asked for again and again: {words}"[:MESSAGE_LIMIT],
        again_in=LOOK_AGAIN_SECONDS,
    )
    before = experiment.summary
    told = before is not None and (before.reason, before.message) == (said.reason, said.message)
    return None if told else said


def _unfit(name: str, store: StoreSettings, claim: ClaimView) -> Obstacle | None:
    """Why the pods of an experiment could not all mount the claim of its store."""
    its = f"spec.store.name: the store {name!r} is the volume claim {store.claim!r} of this namespace, which must"
    if not claim.usable:
        was = "is being deleted" if claim.deleting else "is Lost" if claim.there else "is not there"
        todo = "the administrator makes it" if not claim.there else "`kubectl describe pvc` says why"
        return Obstacle(
            "StoreUnavailable",
            f"{its} be one that pods can mount, {was}; {todo}",
            again_in=LOOK_AGAIN_SECONDS,
        )
    modes = ", ".join(claim.modes)
    if store.sharing != "Node" and not claim.mountable_by_many:
        return Obstacle(
            "StoreNotShareable",
            f"{its} be ReadWriteMany, since stages run side by side on any node, was {modes}; make it of a storage class "
            "that has it (NFS, CephFS), or use an object store; where all its pods land on one node (a cluster of one, a "
            f"volume of a node's disk), the administrator says stores.{name}.sharing: Node",
            again_in=LOOK_AGAIN_SECONDS,
        )
    if not claim.mountable_on_one_node:
        return Obstacle(
            "StoreNotShareable",
            f"{its} be ReadWriteMany or ReadWriteOnce, since several pods write to it at once, was {modes}; make it anew",
            again_in=LOOK_AGAIN_SECONDS,
        )
    return None
