"""The API server as the operator speaks to it: plain objects in, plain objects out, small exceptions.

`Api` is what the controller needs of a cluster; `client.py` has it from a real one.
"""
# ruff: noqa: N818 - the exceptions carry the names of the API server's own reasons

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.names import API_VERSION


@dataclass(frozen=True)
class Kind:
    """Where a kind of object is found: its API version and the plural in its path."""

    api_version: str
    plural: str

    @property
    def prefix(self) -> str:
        """The path before `/namespaces`."""
        return f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"


KINDS: Final[Mapping[Resource, Kind]] = {
    Resource.EXPERIMENT: Kind(API_VERSION, "transferexperiments"),
    Resource.STAGE: Kind(API_VERSION, "transferstages"),
    Resource.JOB: Kind("batch/v1", "jobs"),
    Resource.POD: Kind("v1", "pods"),
    Resource.SERVICE: Kind("v1", "services"),
    Resource.CONFIG_MAP: Kind("v1", "configmaps"),
    Resource.WORKLOAD: Kind("kueue.x-k8s.io/v1beta2", "workloads"),
}


def owner_reference(owner: Reference, *, controller: bool) -> Object:
    """The owner reference of an object (with its UID); its deletion never waits for what it owns."""
    said = {
        "apiVersion": KINDS[owner.resource].api_version,
        "kind": owner.resource.value,
        "name": owner.name,
        "uid": owner.uid,
    }
    return {**said, "controller": True} if controller else said


class ApiError(Exception):
    """A request that did not do what it should. The message is the server's own."""


class NotFound(ApiError):
    """There is no such object."""


class AlreadyExists(ApiError):
    """An object of this name is there."""


class Conflict(ApiError):
    """The object is not at the version, or not the one of the UID, that the request asked for."""


class Expired(ApiError):
    """The rest of a list is no longer to be had: begin it again."""


class Refused(ApiError):
    """The server does not do this: not allowed, over quota, not valid, or a webhook that it must ask is away."""


class TooManyRequests(ApiError):
    """Come again in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerError(ApiError):
    """The server has failed; the request may have been done."""


class LostReply(ApiError):
    """No answer has come; the request may have been done."""


@dataclass(frozen=True)
class Page:
    """A part of a list: all pages of one list are of one version. `rest` asks for the next; "" after the last."""

    items: Sequence[Object]
    version: str
    rest: str


class Api(Protocol):
    """What the operator asks of a cluster. Every method raises `ApiError`s and nothing else."""

    async def create(self, resource: Resource, body: Object) -> Object:
        """POST an object; returns it as it now is."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object as it now is."""

    async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
        """A page of all objects of a kind that the operator watches, of one namespace or of all."""

    async def pods_of_job(self, namespace: str, job: str) -> Sequence[Object]:
        """The pods of the Job of this name, as they now are."""

    async def apply_status(self, target: Reference, status: Object, version: str | None) -> Object:
        """Server-side apply of the status subresource, of the operator's own fields; returns the object."""

    async def set_owners(self, target: Reference, owners: Sequence[Object], version: str) -> Object:
        """Replace the owner references of an object at a version; returns the object."""

    async def delete(self, target: Reference, propagation: Literal["Foreground", "Background"]) -> Object:
        """DELETE an object, of this UID if one is given; returns it while it is still there, else a Status."""

    async def apply_event(self, body: Object) -> None:
        """Server-side apply of an Event: the same name again replaces it."""


class Caller(Protocol):
    """One request to the API server, as `xstilts_operator.client.ClusterApi` makes it; raises ApiErrors."""

    async def call(
        self,
        verb: str,
        plural: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        """The answer's JSON; `verb` and `plural` are for the count of calls."""


def error_of(status: int, body: Mapping[str, Any], retry_after: str | None) -> ApiError:
    """The exception for an answer that is no success; `body` is the server's Status object."""
    message = str(body.get("message") or f"HTTP {status}")
    if status == 429:
        return TooManyRequests(message, _seconds(retry_after))
    if status == 409:
        return (AlreadyExists if body.get("reason") == "AlreadyExists" else Conflict)(message)
    if status >= 500:
        # a webhook that does not answer: nothing was done, and nothing will be until somebody mends it
        return (Refused if "failed calling webhook" in message else ServerError)(message)
    return {404: NotFound, 410: Expired}.get(status, Refused)(message)


def _seconds(retry_after: str | None) -> float:
    try:
        return max(0.0, min(60.0, float(retry_after or 1)))
    except ValueError:
        return 1.0
