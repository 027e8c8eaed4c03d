"""What is known of the cluster: the newest version seen of every object, and where it is looked up by.

Filled by watch events, by full lists and by the answers to the operator's own writes, in any order: the version of
an object decides which of two is newer, and what has been deleted once never comes back. What only had lost the label that a
watch selects by does: for the watch both are deletions, and a version that is newer tells them apart.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from xstilts_operator.actions import Object, Resource
from xstilts_operator.names import STAGE_LABEL
from xstilts_operator.plans import PlanDocument, thaw
from xstilts_operator.trim import trimmed

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
# UIDs of what was deleted; an event that comes later than so many deletions is mended by the next full list.
_TOMBSTONES: Final = 20_000
_FOR_EVER: Final = sys.maxsize  # a version that none is newer than
_THAWED: Final = 20_000  # stages of all the thawed plans that are kept together

Name = tuple[str, str]  # namespace, name


def name_of(obj: Object) -> Name:
    """Namespace and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of(obj: Object) -> int:
    """The resourceVersion as a number: of one object's the greater is the newer."""
    return int(obj["metadata"]["resourceVersion"])


@dataclass(frozen=True)
class Change:
    """An object before and after, as far as the cache knew and knows it; None: not there."""

    resource: Resource
    namespace: str
    name: str
    old: Object | None
    new: Object | None


class Cache:
    """The objects, by kind and name. What it returns is shared: read it, never change it.

    `thaw` reads a plan out of its ConfigMap.
    """

    def __init__(self, thaw: Callable[[Object], PlanDocument] = thaw) -> None:
        self._objects: dict[Resource, dict[Name, Object]] = {resource: {} for resource in Resource}
        self._indexes: dict[tuple[Resource, str], dict[Any, dict[Name, None]]] = {}
        self._buried: OrderedDict[str, int] = OrderedDict()  # UID -> the version at which it was gone
        self._needs: dict[str, dict[Name, None]] = {}  # UID of an experiment -> the stages that it needs
        self._needed: dict[Name, dict[str, Name]] = {}  # stage -> the experiments that need it, by UID
        self._plans = _Plans(thaw)
        self.unserved: set[Resource] = set()  # the kinds that the API server has said it does not know

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object of this name, or None."""
        return self._objects[resource].get((namespace, name))

    def list(self, resource: Resource, namespace: str | None = None) -> tuple[Object, ...]:
        """All objects of a kind, in one namespace or in all."""
        objects = self._objects[resource]
        return tuple(obj for (home, _), obj in objects.items() if namespace in (None, home))

    def stages_of_experiment(self, uid: str) -> tuple[Object, ...]:
        """The stages that name the experiment of this UID among their owners."""
        return self._found(Resource.STAGE, "owner", uid)

    def children_of_stage(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The stages that name this one among their parents."""
        return self._found(Resource.STAGE, "parent", (namespace, name))

    def jobs_of_stage(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The Jobs of all attempts of a stage."""
        return self._found(Resource.JOB, "stage", (namespace, name))

    def pods_of_stage(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The pods of all attempts of a stage."""
        return self._found(Resource.POD, "stage", (namespace, name))

    def jobs_of_experiment(self, uid: str) -> tuple[Object, ...]:
        """The Jobs that an experiment owns itself: its lookups and reports."""
        return self._found(Resource.JOB, "owner", uid)

    def pods_of_job(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The pods that the Job of this name has made."""
        return self._found(Resource.POD, "job", (namespace, name))

    def workload_of_job(self, uid: str) -> Object | None:
        """Kueue's Workload of the Job of this UID."""
        return next(iter(self._found(Resource.WORKLOAD, "owner", uid)), None)

    def is_queued(self, namespace: str, job: str) -> bool:
        """Whether Kueue has a Workload of a Job of this name, there or gone."""
        return bool(self._found(Resource.WORKLOAD, "job", (namespace, job)))

    def plan_of(self, namespace: str, name: str) -> PlanDocument | None:
        """The plan in the ConfigMap of this name, or None where there is no such ConfigMap.

        Raises:
            PlanError: somebody has put another thing there, or another version a plan that this one cannot read.
        """
        config_map = self.get(Resource.CONFIG_MAP, namespace, name)
        return None if config_map is None else self._plans.get(config_map)

    def experiments_needing(self, namespace: str, name: str) -> tuple[Object, ...]:
        """The experiments that are there and whose plans name this stage."""
        experiments = self._objects[Resource.EXPERIMENT]
        return tuple(
            experiments[experiment]
            for uid, experiment in self._needed.get((namespace, name), {}).items()
            if experiment in experiments and experiments[experiment]["metadata"]["uid"] == uid
        )

    def needs_of(self, namespace: str, name: str) -> tuple[Name, ...]:
        """The stages that the plans of the experiment that is there under this name name."""
        experiment = self.get(Resource.EXPERIMENT, namespace, name)
        return () if experiment is None else tuple(self._needs.get(experiment["metadata"]["uid"], ()))

    # -- writing ------------------------------------------------------------------------------------------------

    def index_plan(self, uid: str, namespace: str, name: str, stages: Iterable[str]) -> None:
        """Remember that the experiment needs these stages, besides those it needed before: grids only grow."""
        if uid in self._buried:
            return
        needs = self._needs.setdefault(uid, {})
        for stage in stages:
            needs[namespace, stage] = None
            self._needed.setdefault((namespace, stage), {})[uid] = (namespace, name)

    def upsert(self, resource: Resource, obj: Object) -> Change | None:
        """Take in an object as it is or was; None if that is nothing new."""
        name, uid = name_of(obj), obj["metadata"]["uid"]
        old = self._objects[resource].get(name)
        if version_of(obj) <= self._buried.get(uid, -1) or (
            old is not None and version_of(obj) <= version_of(old)
        ):
            return None
        self._buried.pop(uid, None)
        new = trimmed(resource, obj)
        if old is not None and old["metadata"]["uid"] != uid:
            self._bury(old["metadata"]["uid"])
        self._put(resource, name, old, new)
        return Change(resource, *name, old, new)

    def delete(self, resource: Resource, obj: Object, at: int = _FOR_EVER) -> Change | None:
        """Take in that this very object (its UID counts) is gone; None if that was known.

        `at`: the version at which it was, where that may only mean that it is selected no more.
        """
        name, uid = name_of(obj), obj["metadata"]["uid"]
        self._bury(uid, at)
        old = self._objects[resource].get(name)
        if old is None or old["metadata"]["uid"] != uid:
            return None
        self._put(resource, name, old, None)
        return Change(resource, *name, old, None)

    def sweep(
        self, resource: Resource, listed: AbstractSet[str], version: str, namespace: str | None = None
    ) -> tuple[Change, ...]:
        """Take in that a full list made at a version left out all but these UIDs: what is no newer is gone."""
        gone = [
            obj
            for (home, _), obj in self._objects[resource].items()
            if namespace in (None, home)
            and obj["metadata"]["uid"] not in listed
            and version_of(obj) <= int(version)
        ]
        changes = (self.delete(resource, obj, int(version)) for obj in gone)
        return tuple(change for change in changes if change is not None)

    # -- within -------------------------------------------------------------------------------------------------

    def _found(self, resource: Resource, index: str, value: Any) -> tuple[Object, ...]:
        objects = self._objects[resource]
        return tuple(objects[name] for name in self._indexes.get((resource, index), {}).get(value, ()))

    def _put(self, resource: Resource, name: Name, old: Object | None, new: Object | None) -> None:
        before = _index_values(resource, old) if old is not None else set()
        after = _index_values(resource, new) if new is not None else set()
        for index, value in before - after:
            members = self._indexes[resource, index][value]
            del members[name]
            if not members:
                del self._indexes[resource, index][value]
        for index, value in after - before:
            self._indexes.setdefault((resource, index), {}).setdefault(value, {})[name] = None
        if new is not None:
            self._objects[resource][name] = new
            return
        del self._objects[resource][name]

    def _bury(self, uid: str, at: int = _FOR_EVER) -> None:
        self._buried[uid] = at
        for stage in self._needs.pop(uid, ()):
            needing = self._needed[stage]
            del needing[uid]
            if not needing:
                del self._needed[stage]
        self._plans.drop(uid)
        while len(self._buried) > _TOMBSTONES:
            self._buried.popitem(last=False)


class _Plans:
    """The plans that were read last, by the UIDs of their ConfigMaps: those of small experiments all."""

    def __init__(self, thaw: Callable[[Object], PlanDocument]) -> None:
        self._thaw = thaw
        self._plans: OrderedDict[str, PlanDocument] = OrderedDict()
        self._size = 0

    def get(self, config_map: Object) -> PlanDocument:
        uid = config_map["metadata"]["uid"]
        if uid not in self._plans:
            self._plans[uid] = self._thaw(config_map)
            self._size += len(self._plans[uid].stages)
        self._plans.move_to_end(uid)
        while self._size > _THAWED and len(self._plans) > 1:
            self.drop(next(iter(self._plans)))
        return self._plans[uid]

    def drop(self, uid: str) -> None:
        plan = self._plans.pop(uid, None)
        if plan is not None:
            self._size -= len(plan.stages)


def _index_values(resource: Resource, obj: Object) -> set[tuple[str, Any]]:
    """The names of the indexes that find this object, each with the value that it is found by."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    values: set[tuple[str, Any]] = {
        ("owner", owner["uid"]) for owner in metadata.get("ownerReferences") or () if "uid" in owner
    }
    labels = metadata.get("labels") or {}
    if STAGE_LABEL in labels:
        values.add(("stage", (namespace, labels[STAGE_LABEL])))
    if resource is Resource.POD and JOB_NAME_LABEL in labels:
        values.add(("job", (namespace, labels[JOB_NAME_LABEL])))
    if resource is Resource.WORKLOAD:
        owners = metadata.get("ownerReferences") or ()
        values |= {("job", (namespace, owner["name"])) for owner in owners if owner.get("kind") == "Job"}
    if resource is Resource.STAGE:
        spec = obj.get("spec")
        parents = spec.get("parentStages") if isinstance(spec, Mapping) else None
        for parent in parents if isinstance(parents, list) else ():
            values.add(("parent", (namespace, str(parent))))
    return values
