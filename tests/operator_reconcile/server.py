"""An API server in a dictionary: it does what decisions want, and remembers what was done.

Plays versions, UIDs, what is there already, deletion in the foreground, and the garbage collector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from xstilts_operator.actions import (
    ApplyStatus,
    Create,
    CreateJob,
    Delete,
    Emit,
    Reference,
    Resource,
    SetOwners,
)
from xstilts_operator.cache import Cache
from xstilts_operator.tolerant import mapping, stamp

NAMESPACE = "team"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Server:
    """All objects, the time, and what has ever been done.

    Attributes:
        jobs_made: the names of all Jobs ever made, in order.
        made_for: for each of them the UID of its owner.
        writes: of each object, what was written: create, status, owners, job.
        events: those that were emitted.
        lingering: pods that are being deleted take their time.
    """

    now: datetime = START
    jobs_made: list[str] = field(default_factory=list)
    made_for: list[str] = field(default_factory=list)
    writes: dict[str, list[str]] = field(default_factory=dict)
    events: list[Emit] = field(default_factory=list)
    lingering: bool = False

    def __post_init__(self) -> None:
        self.cache = Cache()
        self._version = 0
        self._bodies: dict[str, Any] = {}  # of Jobs, whose templates the cache does not keep

    def get(self, resource: Resource, name: str) -> Any:
        found = self.cache.get(resource, NAMESPACE, name)
        assert found is not None, f"no {resource} {name}"
        return found

    def names(self, resource: Resource) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.cache.list(resource)]

    def do(self, action: Any) -> None:
        match action:
            case Create(resource, body):
                self._create(resource, body)
            case CreateJob(stage, attempt, body):
                status = mapping(self.get(Resource.STAGE, stage.name), "status")
                assert (status["state"], status["attempt"]["number"]) == ("Active", attempt)
                self._wrote(stage.name, "job")
                self._create(Resource.JOB, body)
            case ApplyStatus(target, status, version):
                old = self._current(target, version)
                assert status != {
                    key: said for key, said in mapping(old, "status").items() if key != "progress"
                }
                json.dumps(status, allow_nan=False)
                _refuse_floats(status)
                self._wrote(target.name, "status")
                progress = mapping(old, "status").get("progress")
                new = {**status, **({"progress": progress} if progress is not None else {})}
                self._replace(target.resource, deepcopy(old) | {"status": new})
            case SetOwners(target, owners, version):
                new = deepcopy(self._current(target, version))
                new["metadata"]["ownerReferences"] = list(owners)
                self._wrote(target.name, "owners")
                self._replace(target.resource, new)
            case Delete(target, _):
                self._delete(target)
            case Emit():
                self.events.append(action)

    def lose(self, resource: Resource, name: str) -> None:
        """An object vanishes at once."""
        self.cache.delete(resource, self.get(resource, name))

    # -- within ---------------------------------------------------------------------------------------------------

    def _create(self, resource: Resource, body: Any) -> None:
        name = body["metadata"]["name"]
        if self.cache.get(resource, NAMESPACE, name) is not None:
            return
        made = self._put(resource, body)
        self._wrote(name, "create")
        if resource is Resource.JOB:
            self._bodies[made["metadata"]["uid"]] = body
            self.jobs_made.append(name)
            self.made_for.append(body["metadata"]["ownerReferences"][0]["uid"])

    def _put(self, resource: Resource, body: Any) -> Any:
        self._version += 1
        made = deepcopy(dict(body))
        made["metadata"] |= {
            "uid": f"uid-{self._version}",
            "resourceVersion": str(self._version),
            "creationTimestamp": stamp(self.now),
        }
        self.cache.upsert(resource, made)
        return made

    def _replace(self, resource: Resource, obj: Any) -> None:
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.cache.upsert(resource, obj)
        named = mapping(obj, "status", "plan").get("name") if resource is Resource.EXPERIMENT else None
        plan = self.cache.plan_of(NAMESPACE, named) if named else None
        if plan is not None:
            self.cache.index_plan(obj["metadata"]["uid"], NAMESPACE, plan.name, plan.by_name)

    def _current(self, target: Reference, version: str | None) -> Any:
        current = self.get(target.resource, target.name)
        assert target.uid in (None, current["metadata"]["uid"])
        assert version in (None, current["metadata"]["resourceVersion"])
        return current

    def _delete(self, target: Reference) -> None:
        found = self.cache.get(target.resource, NAMESPACE, target.name)
        if found is None or target.uid not in (None, found["metadata"]["uid"]):
            return
        if target.resource is Resource.JOB:  # Foreground: it stays until its pods are gone
            self._replace(Resource.JOB, _leaving(found, self.now))
            for pod in self.cache.pods_of_job(NAMESPACE, target.name):
                self._replace(Resource.POD, _leaving(pod, self.now))
            return
        self._collect(target.resource, found)

    def end_deletions(self) -> None:
        """What is being deleted is gone: pods first, then their Jobs."""
        if self.lingering:
            return
        for resource in (Resource.POD, Resource.JOB):
            for obj in self.cache.list(resource):
                if "deletionTimestamp" in obj["metadata"]:
                    self.cache.delete(resource, obj)

    def _collect(self, resource: Resource, obj: Any) -> None:
        """An object goes, and what nobody else owns goes with it."""
        self.cache.delete(resource, obj)
        uid = obj["metadata"]["uid"]
        for kind in (Resource.CONFIG_MAP, Resource.STAGE, Resource.JOB, Resource.POD, Resource.SERVICE):
            for other in self.cache.list(kind):
                owners = [owner["uid"] for owner in other["metadata"].get("ownerReferences", ())]
                alive = {one["metadata"]["uid"] for each in Resource for one in self.cache.list(each)}
                if uid in owners and not alive & set(owners):
                    self._collect(kind, other)

    def _wrote(self, name: str, what: str) -> None:
        self.writes.setdefault(name, []).append(what)


def _leaving(obj: Any, now: datetime) -> Any:
    left = deepcopy(obj)
    left["metadata"]["deletionTimestamp"] = stamp(now)
    return left


def _refuse_floats(value: Any) -> None:
    assert not isinstance(value, float), value
    for item in (
        value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    ):
        _refuse_floats(item)
