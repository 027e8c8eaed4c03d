"""An API server in a dictionary: versions, UIDs, conditional writes, server-side apply of a status, watch events.

Synchronous and exact; delays and faults are other people's. What is stored is never changed, only replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from xstilts.canonical import digest
from xstilts_operator.actions import Object, Resource
from xstilts_operator.api import AlreadyExists, Conflict, NotFound, Refused
from xstilts_operator.client import LABELLED
from xstilts_operator.names import MANAGED_BY, MANAGER
from xstilts_operator.tolerant import mapping, stamp

Name = tuple[str, str]
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True)
class Event:
    """What a watch tells."""

    version: int
    resource: Resource
    type: str
    obj: Object


@dataclass
class Store:
    """All objects, and everything that has ever happened to them.

    Attributes:
        clock: the server's.
        log: every event, in order.
        made: how often a name of each kind has been created.
        listeners: hear of every event at once.
    """

    clock: Callable[[], datetime]
    log: list[Event] = field(default_factory=list)
    made: Counter[tuple[Resource, str, str]] = field(default_factory=Counter)
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        self._objects: dict[Resource, dict[Name, Object]] = {resource: {} for resource in Resource}
        self._alive: dict[str, Resource] = {}

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> Any:
        found = self._objects[resource].get((namespace, name))
        if found is None:
            raise NotFound(f'{resource.value} "{name}" not found')
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> Any | None:
        return self._objects[resource].get((namespace, name))

    def all(self, resource: Resource) -> list[Any]:
        return list(self._objects[resource].values())

    def watched(self, resource: Resource) -> list[Any]:
        """What a list with the operator's label selector returns, sorted as etcd does."""
        return [
            self._objects[resource][name]
            for name in sorted(self._objects[resource])
            if selected(resource, self._objects[resource][name])
        ]

    def alive(self, uid: str) -> bool:
        return uid in self._alive

    def since(self, version: int) -> Iterator[Event]:
        """What has happened after a version, the last first."""
        for event in reversed(self.log):
            if event.version <= version:
                return
            yield event

    # -- the API ------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, body: Object) -> Object:
        new = deepcopy(dict(body))
        metadata = new["metadata"]
        name = (metadata["namespace"], metadata["name"])
        if name in self._objects[resource]:
            raise AlreadyExists(f'{resource.value} "{name[1]}" already exists')
        self.made[(resource, *name)] += 1
        metadata["uid"] = digest([resource.value, *name, self.made[(resource, *name)]])[:32]
        metadata["creationTimestamp"] = stamp(self.clock())
        metadata.setdefault("generation", 1)
        if resource in {Resource.EXPERIMENT, Resource.STAGE}:
            new.pop("status", None)
        self._alive[metadata["uid"]] = resource
        return self._put(resource, new, "ADDED")

    def apply_status(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        status: Any,
        *,
        version: str | None,
    ) -> Object:
        old = self._checked(resource, namespace, name, None, version)  # a UID is not looked at
        refuse_floats(status)
        progress = mapping(old, "status").get("progress")
        kept = {} if progress is None else {"progress": progress}
        return self.update(resource, {**old, "status": {**deepcopy(status), **kept}})

    def set_owners(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        owners: Sequence[Object],
        *,
        uid: str | None,
        version: str,
    ) -> Object:
        old = self._checked(resource, namespace, name, None, version)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict("the UID is another")
        return self.update(
            resource, {**old, "metadata": {**old["metadata"], "ownerReferences": deepcopy(list(owners))}}
        )

    def delete(
        self, resource: Resource, namespace: str, name: str, uid: str | None, propagation: str
    ) -> Object:
        old = self.get(resource, namespace, name)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict("Precondition failed: UID in precondition")
        waits = resource is Resource.POD or (propagation == "Foreground" and resource is Resource.JOB)
        if not waits:
            self.remove(resource, namespace, name)
            return {"kind": "Status", "status": "Success"}
        if "deletionTimestamp" in old["metadata"]:
            return old
        finalizers = [FOREGROUND] if resource is Resource.JOB else []
        changed = {
            "deletionTimestamp": stamp(self.clock()),
            **({"finalizers": finalizers} if finalizers else {}),
        }
        return self.update(resource, {**old, "metadata": {**old["metadata"], **changed}})

    # -- what others write ----------------------------------------------------------------------------------------

    def update(self, resource: Resource, obj: Object) -> Object:
        """Replace an object; a write that changes nothing makes no version."""
        metadata = obj["metadata"]
        old = self.get(resource, metadata["namespace"], metadata["name"])
        if old["metadata"]["uid"] != metadata["uid"]:
            raise Conflict("the object has been made anew")
        if {**obj, "metadata": _unversioned(obj)} == {**old, "metadata": _unversioned(old)}:
            return old
        new = deepcopy(dict(obj))
        if new.get("spec") != old.get("spec"):
            if resource is Resource.STAGE:
                raise Refused("spec is immutable")
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if old.get("immutable") is True and any(
            new.get(part) != old.get(part) for part in ("data", "binaryData")
        ):
            raise Refused("field is immutable when `immutable` is set")
        return self._put(resource, new, "MODIFIED")

    def scribble(self, resource: Resource, obj: Object) -> None:
        """Replace an object by anything: written by hand, past every schema."""
        self._put(resource, {**obj, "metadata": dict(obj["metadata"])}, "MODIFIED")

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        old = self._objects[resource].pop((namespace, name))
        del self._alive[old["metadata"]["uid"]]
        self.version += 1
        gone = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        self._tell(Event(self.version, resource, "DELETED", gone))

    def _put(self, resource: Resource, obj: Any, kind: str) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._objects[resource][obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj
        self._tell(Event(self.version, resource, kind, obj))
        return obj

    def _tell(self, event: Event) -> None:
        self.log.append(event)
        for listener in list(self.listeners):
            listener(event)

    def _checked(
        self, resource: Resource, namespace: str, name: str, uid: str | None, version: str | None
    ) -> Object:
        old = self.get(resource, namespace, name)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict("Precondition failed: UID in precondition")
        if version not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict("the object has been modified; please apply your changes to the latest version")
        return old


def selected(resource: Resource, obj: Object) -> bool:
    """Whether the operator's watch of this kind tells of the object."""
    return resource not in LABELLED or mapping(obj, "metadata", "labels").get(MANAGED_BY) == MANAGER


def refuse_floats(value: Any) -> None:
    """The CRDs know no floats."""
    if isinstance(value, float):
        raise Refused(f"must be no float: {value!r}")
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for item in items:
        refuse_floats(item)


def _unversioned(obj: Object) -> dict[str, Any]:
    return {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
