"""What keeps an experiment from being planned or run at all, before any of its stages is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.spec import Experiment
from xstilts_operator.jobs import problems
from xstilts_operator.settings import Settings, StoreSettings
from xstilts_operator.views import ExperimentView

QUEUE_UNAVAILABLE = "QueueUnavailable"
MESSAGE_LIMIT = 4096


@dataclass(frozen=True)
class Obstacle:
    """Why an experiment goes no further. `final`: it will not before its spec is another."""

    reason: str
    message: str
    final: bool = False


@dataclass(frozen=True)
class Admissible:
    """An experiment that can run here: its spec, and the store that it may use."""

    spec: Experiment
    store: StoreSettings


def examined(experiment: ExperimentView, settings: Settings, *, kueue: bool) -> Admissible | Obstacle:
    """The first thing that is in an experiment's way, or that nothing is. `kueue`: whether the API server knows it."""
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
    if spec.queue_name is not None and not (settings.kueue and kueue):
        return Obstacle(
            QUEUE_UNAVAILABLE,
            f"spec.queueName: is {spec.queue_name!r}, and the operator runs without Kueue; "
            "install it and switch it on in the operator's settings, or leave queueName out",
        )
    return Admissible(experiment.experiment, store)
