"""What the cache keeps of an object: what decisions read, and nothing else. Ten thousand of each must fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from xstilts_operator.actions import Object, Resource

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
)
_OWN_ANNOTATIONS: Final = ("xstilts.dev/", "batch.kubernetes.io/job-completion-index")
_SHARED: Final = (
    65_536  # strings that are shared; those of which nothing has been seen for longest are not any more
)
_SHARED_LENGTH: Final = 128  # longer strings are hardly ever equal
_ANNOTATION_LENGTH: Final = 256
_DEEPEST: Final = 40  # levels of an object that are read at all


def trimmed(resource: Resource, obj: Object) -> dict[str, Any]:
    """A copy that shares its short strings with all others, without managed fields and unread parts.

    Whatever is not an object where one is expected is left out: nothing here trusts what a person wrote.
    """
    metadata = _mapping(obj.get("metadata"))
    kept: dict[str, Any] = {"metadata": _pick(metadata, _METADATA)}
    annotations = {
        name: value
        for name, value in _mapping(metadata.get("annotations")).items()
        if name.startswith(_OWN_ANNOTATIONS) and len(str(value)) <= _ANNOTATION_LENGTH
    }
    if annotations:
        kept["metadata"]["annotations"] = annotations
    result: dict[str, Any] = shared(kept | _PARTS[resource](obj))
    return result


def shared(value: Any, depth: int = _DEEPEST) -> Any:
    """The same JSON value, of its keys and short strings equal ones being one object in memory.

    What lies deeper than any schema goes is None.
    """
    if isinstance(value, str):
        return _first(value) if len(value) <= _SHARED_LENGTH else value
    if isinstance(value, Mapping | list | tuple) and depth == 0:
        return None
    if isinstance(value, Mapping):
        return {sys.intern(str(name)): shared(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shared(item, depth - 1) for item in value]
    return value


@lru_cache(maxsize=_SHARED)
def _first(text: str) -> str:
    """The first string of this text. Interned, each UID and each version would stay for ever: Python 3.12 frees none."""
    return text


def _whole(obj: Object) -> dict[str, Any]:
    return {part: obj[part] for part in ("spec", "status") if part in obj}


def _job(obj: Object) -> dict[str, Any]:
    spec = _pick(_mapping(obj.get("spec")), ("suspend", "completions", "parallelism"))
    return {"spec": spec, "status": _mapping(obj.get("status"))}


def _pod(obj: Object) -> dict[str, Any]:
    status = _mapping(obj.get("status"))
    kept = _pick(status, ("phase", "reason", "message", "startTime"))
    kept["conditions"] = [
        _pick(condition, ("type", "status", "reason", "message", "lastTransitionTime"))
        for condition in _mappings(status.get("conditions"))
    ]
    for part in ("containerStatuses", "initContainerStatuses"):
        containers = _mappings(status.get(part))
        if containers:
            kept[part] = [_pick(container, ("name", "state")) for container in containers]
    return {"spec": _pick(_mapping(obj.get("spec")), ("nodeName",)), "status": kept}


def _config_map(obj: Object) -> dict[str, Any]:
    return _pick(obj, ("binaryData",))


def _workload(obj: Object) -> dict[str, Any]:
    spec = _pick(_mapping(obj.get("spec")), ("active", "queueName"))
    return {"spec": spec, "status": _pick(_mapping(obj.get("status")), ("conditions",))}


_PARTS: Final[Mapping[Resource, Callable[[Object], dict[str, Any]]]] = {
    Resource.EXPERIMENT: _whole,
    Resource.STAGE: _whole,
    Resource.JOB: _job,
    Resource.POD: _pod,
    Resource.SERVICE: lambda _: {},
    Resource.CONFIG_MAP: _config_map,
    Resource.WORKLOAD: _workload,
}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _pick(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
