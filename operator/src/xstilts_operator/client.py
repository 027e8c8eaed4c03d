"""`Api` on a real cluster, with the official client's asyncio half: its connections and its credentials.

Its models are left aside: objects stay the plain JSON that they are on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from xstilts_operator.actions import Object, Reference, Resource
from xstilts_operator.api import KINDS, LostReply, Page, error_of
from xstilts_operator.cache import JOB_NAME_LABEL
from xstilts_operator.names import MANAGED_BY, MANAGER

PAGE_SIZE: Final = 500
REQUEST_SECONDS: Final = 30.0
# Watched only as far as they are the operator's own.
LABELLED: Final = frozenset({Resource.JOB, Resource.POD, Resource.CONFIG_MAP, Resource.SERVICE})
SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


class CallObserver(Protocol):
    """Who counts API calls."""

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A call has been answered with an HTTP status, or `lost`."""


class ClusterApi:
    """The API server that the official client's configuration names."""

    def __init__(self, configuration: Configuration, observer: CallObserver | None = None) -> None:
        _settle_proxy(configuration)
        self._client = ApiClient(configuration)
        self._client.user_agent = MANAGER
        self._observer = observer

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # the client has no types

    async def create(self, resource: Resource, body: Object) -> Object:
        """POST an object; returns it as it now is."""
        path = _path(resource, body["metadata"]["namespace"])
        query = {"fieldManager": MANAGER}
        kinds = {"apiVersion": KINDS[resource].api_version, "kind": resource.value}
        return await self._call("create", resource, "POST", path, query, body={**kinds, **body})

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """The object as it now is."""
        return await self._call("get", resource, "GET", _path(resource, namespace, name))

    async def list(self, resource: Resource, namespace: str | None, rest: str = "") -> Page:
        """A page of all objects of a kind that the operator watches, of one namespace or of all."""
        query = {"limit": str(PAGE_SIZE)}
        if rest:
            query["continue"] = rest
        if resource in LABELLED:
            query["labelSelector"] = SELECTOR
        answer = await self._call("list", resource, "GET", _path(resource, namespace), query)
        metadata = answer["metadata"]
        return Page(answer.get("items") or (), metadata["resourceVersion"], metadata.get("continue") or "")

    async def pods_of_job(self, namespace: str, job: str) -> Sequence[Object]:
        """The pods of the Job of this name, as they now are."""
        query = {"labelSelector": f"{SELECTOR},{JOB_NAME_LABEL}={job}"}
        answer = await self._call("list", Resource.POD, "GET", _path(Resource.POD, namespace), query)
        return answer.get("items") or ()

    async def apply_status(self, target: Reference, status: Object, version: str | None) -> Object:
        """Server-side apply of the status subresource, of the operator's own fields; returns the object."""
        metadata = {"name": target.name, "namespace": target.namespace}
        if version is not None:
            metadata["resourceVersion"] = version
        if target.uid is not None:
            metadata["uid"] = target.uid
        body = {
            "apiVersion": KINDS[target.resource].api_version,
            "kind": target.resource.value,
            "metadata": metadata,
            "status": status,
        }
        path = f"{_path(target.resource, target.namespace, target.name)}/status"
        query = {"fieldManager": MANAGER, "force": "true"}
        return await self._call("apply", target.resource, "PATCH", path, query, body=body, content=_APPLY)

    async def set_owners(self, target: Reference, owners: Sequence[Object], version: str) -> Object:
        """Replace the owner references of an object at a version; returns the object."""
        body = {"metadata": {"resourceVersion": version, "ownerReferences": list(owners)}}
        path = _path(target.resource, target.namespace, target.name)
        query = {"fieldManager": MANAGER}
        return await self._call("patch", target.resource, "PATCH", path, query, body=body, content=_MERGE)

    async def delete(self, target: Reference, propagation: Literal["Foreground", "Background"]) -> Object:
        """DELETE an object, of this UID if one is given; returns it while it is still there, else a Status."""
        body: dict[str, Any] = {"propagationPolicy": propagation}
        if target.uid is not None:
            body["preconditions"] = {"uid": target.uid}
        path = _path(target.resource, target.namespace, target.name)
        return await self._call("delete", target.resource, "DELETE", path, body=body)

    async def apply_event(self, body: Object) -> None:
        """Server-side apply of an Event: the same name again replaces it."""
        metadata = body["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}"
        query = {"fieldManager": MANAGER, "force": "true"}
        await self.call("apply", "events", "PATCH", path, query, body=body, content=_APPLY)

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
        """One request; `verb` and `plural` are for the count of calls.

        Raises:
            ApiError: any answer that is no success, or none.
        """
        begun, code = perf_counter(), "lost"
        try:
            status, headers, data = await self._exchange(method, path, query or {}, body, content)
            code = str(status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise LostReply(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            if self._observer:
                self._observer.called(verb, plural, code, perf_counter() - begun)
        answer = _json(data)
        if status >= 300:
            raise error_of(status, answer, headers.get("Retry-After"))
        return answer

    async def _call(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        plural = KINDS[resource].plural
        return await self.call(verb, plural, method, path, query, body=body, content=content)

    async def _exchange(
        self, method: str, path: str, query: Mapping[str, str], body: Object | None, content: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        _, url, headers, _, _ = await self._client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json, */*", "Content-Type": content},
            auth_settings=["BearerToken"],
        )
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        response = await self._client.call_api(method, url, headers, body, _request_timeout=timeout)
        data: bytes = await response.read()  # type: ignore[no-untyped-call]  # the client has no types
        return response.status, response.headers, data


def _settle_proxy(configuration: Configuration) -> None:
    """The proxy that the environment names, looked up once.

    aiohttp would look it up, and read a netrc file, in a thread before each request.
    """
    server = urlsplit(configuration.host)
    if configuration.proxy is None and not proxy_bypass(server.hostname or ""):
        configuration.proxy = getproxies().get(server.scheme)
    configuration.client_session_kwargs = {"trust_env": False}


def _path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    kind = KINDS[resource]
    within = f"/namespaces/{namespace}" if namespace is not None else ""
    return f"{kind.prefix}{within}/{kind.plural}" + (f"/{name}" if name is not None else "")


def _json(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except ValueError:  # a proxy's page; the status code says the rest
        return {"message": data[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}
