"""Which decisions a change may alter: pure, from what changed to the keys that are to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from xstilts_operator.actions import Object, Resource
from xstilts_operator.cache import Cache, Change
from xstilts_operator.names import EXPERIMENT_LABEL, STAGE_LABEL
from xstilts_operator.tolerant import mapping, mappings, text

PROGRESS_SECONDS: Final = 5.0  # an experiment looks at its stages' progress no more often


class Key(NamedTuple):
    """What is decided about as one: an experiment or a stage."""

    resource: Resource
    namespace: str
    name: str


class Visit(NamedTuple):
    """A key, and in how many seconds it is to be looked at."""

    key: Key
    after: float = 0.0


def visits(change: Change, cache: Cache) -> Iterator[Visit]:
    """What is to be looked at because of a change that the cache has taken in; the same key may come again."""
    match change.resource:
        case Resource.EXPERIMENT:
            yield from _of_experiment(change, cache)
        case Resource.STAGE:
            yield from _of_stage(change, cache)
        case Resource.CONFIG_MAP:
            yield from _of_plan(change, cache)
        case Resource.WORKLOAD:
            for owner in mappings(mapping(change.new or change.old, "metadata").get("ownerReferences")):
                job = cache.get(Resource.JOB, change.namespace, text(owner.get("name")))
                yield from _of_labels(change.namespace, mapping(job, "metadata", "labels"))
        case Resource.JOB | Resource.POD | Resource.SERVICE:
            yield from _of_labels(change.namespace, _labels(change))
            yield from _of_leftover(change, cache)


def _of_experiment(change: Change, cache: Cache) -> Iterator[Visit]:
    yield Visit(Key(Resource.EXPERIMENT, change.namespace, change.name))
    if _wants(change.old) == _wants(change.new):
        return
    yield from _stages(cache.needs_of(change.namespace, change.name))
    for uid in sorted({_uid(change.old), _uid(change.new)} - {""}):
        yield from _stages(
            (change.namespace, stage["metadata"]["name"]) for stage in cache.stages_of_experiment(uid)
        )


def _of_stage(change: Change, cache: Cache) -> Iterator[Visit]:
    yield Visit(Key(Resource.STAGE, change.namespace, change.name))
    told = _only_progress(change.old, change.new)
    owners = {
        text(owner.get("name"))
        for obj in (change.old, change.new)
        for owner in mappings(mapping(obj, "metadata").get("ownerReferences"))
        if owner.get("kind") == Resource.EXPERIMENT.value
    }
    needing = {obj["metadata"]["name"] for obj in cache.experiments_needing(change.namespace, change.name)}
    for name in sorted(owners | needing):
        yield Visit(Key(Resource.EXPERIMENT, change.namespace, name), PROGRESS_SECONDS if told else 0.0)
    if _state(change.old) != _state(change.new):
        children = cache.children_of_stage(change.namespace, change.name)
        yield from _stages((change.namespace, child["metadata"]["name"]) for child in children)


def _of_plan(change: Change, cache: Cache) -> Iterator[Visit]:
    """A plan that is new makes its stages look for their owners, if it is one: anybody may give a ConfigMap the labels."""
    name = text(_labels(change).get(EXPERIMENT_LABEL))
    yield Visit(Key(Resource.EXPERIMENT, change.namespace, name))
    named = mapping(cache.get(Resource.EXPERIMENT, change.namespace, name), "status", "plan").get("name")
    if change.old is None and named == change.name:
        yield from _stages(cache.needs_of(change.namespace, name))


def _of_labels(namespace: str, labels: Mapping[str, object]) -> Iterator[Visit]:
    if STAGE_LABEL in labels:
        yield Visit(Key(Resource.STAGE, namespace, text(labels[STAGE_LABEL])))
    elif EXPERIMENT_LABEL in labels:
        yield Visit(Key(Resource.EXPERIMENT, namespace, text(labels[EXPERIMENT_LABEL])))


def _of_leftover(change: Change, cache: Cache) -> Iterator[Visit]:
    """What still runs of an attempt that is over keeps the next one from being admitted, by whom the stage is needed."""
    name = text(_labels(change).get(STAGE_LABEL))
    stage = cache.get(Resource.STAGE, change.namespace, name) if name else None
    if _state(stage) in {"Pending", "Waiting"}:
        for obj in cache.experiments_needing(change.namespace, name):
            yield Visit(Key(Resource.EXPERIMENT, change.namespace, obj["metadata"]["name"]))


def _stages(names: Iterable[tuple[str, str]]) -> Iterator[Visit]:
    for namespace, name in names:
        yield Visit(Key(Resource.STAGE, namespace, name))


def _wants(experiment: Object | None) -> tuple[object, ...] | None:
    """What of an experiment its stages go by: its spec and plan, and whether it is there and not at its end."""
    if experiment is None:
        return None
    metadata = mapping(experiment, "metadata")
    ended = [
        condition.get("status")
        for condition in mappings(mapping(experiment, "status").get("conditions"))
        if condition.get("type") == "Succeeded"
    ]
    plan = mapping(experiment, "status", "plan").get("name")
    return metadata.get("uid"), metadata.get("generation"), "deletionTimestamp" in metadata, ended, plan


def _only_progress(old: Object | None, new: Object | None) -> bool:
    """Whether a stage has changed in nothing but what its pod tells."""
    if old is None or new is None:
        return False
    owners = mapping(old, "metadata").get("ownerReferences") == mapping(new, "metadata").get(
        "ownerReferences"
    )
    deleting = "deletionTimestamp" in mapping(new, "metadata")
    return owners and not deleting and _told_by_us(old) == _told_by_us(new)


def _told_by_us(stage: Object) -> dict[str, object]:
    return {name: value for name, value in mapping(stage, "status").items() if name != "progress"}


def _state(stage: Object | None) -> str:
    return text(mapping(stage, "status").get("state"))


def _uid(obj: Object | None) -> str:
    return text(mapping(obj, "metadata").get("uid"))


def _labels(change: Change) -> Mapping[str, object]:
    return mapping(change.new or change.old, "metadata", "labels")
