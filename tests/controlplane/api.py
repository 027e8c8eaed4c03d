"""The Kubernetes API with plain dicts, for tests: paths in, objects out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient, ApiException
from kubernetes.aio.config import new_client_from_config

Object = dict[str, Any]
T = TypeVar("T")
MERGE = "application/merge-patch+json"


class Api:
    """One client of one API server. An answer of 400 or more is an ApiException (its `status` is the code)."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, path: str, **query: str) -> Object:
        """GET an object or a list."""
        return await self.call("GET", path, query=query)

    async def create(self, path: str, body: Mapping[str, Any], **query: str) -> Object:
        """POST an object to its collection (or to a subresource, as `…/pods/NAME/binding`)."""
        return await self.call("POST", path, body, query=query)

    async def replace(self, path: str, body: Mapping[str, Any], **query: str) -> Object:
        """PUT an object."""
        return await self.call("PUT", path, body, query=query)

    async def patch(
        self, path: str, body: Mapping[str, Any], *, content_type: str = MERGE, **query: str
    ) -> Object:
        """PATCH an object: JSON merge patch unless `content_type` says otherwise."""
        return await self.call("PATCH", path, body, query=query, content_type=content_type)

    async def delete(self, path: str, **options: Any) -> Object:
        """DELETE an object, with `options` (propagationPolicy, gracePeriodSeconds, preconditions)."""
        return await self.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", **options})

    async def exists(self, path: str) -> bool:
        """Whether there is an object at `path`."""
        try:
            await self.get(path)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; the object in the answer."""
        response = await self._send(method, path, body, query, content_type)
        answered: Object = json.loads(await response.read())
        return answered

    async def watch(self, path: str, **query: str) -> AsyncIterator[tuple[str, Object]]:
        """Every event (type, object) after the list of `path` that `resourceVersion` in `query` is of.

        Ends when the server ends the watch (timeoutSeconds, or an ERROR event, which is yielded).
        """
        response = await self._send("GET", path, None, {**query, "watch": "true"}, "application/json")
        try:
            while line := await response.content.readline():
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            response.close()

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str,
    ) -> aiohttp.ClientResponse:
        request = await self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        response: aiohttp.ClientResponse = (await self._client.call_api(*request)).response
        if response.status >= 400:
            raise ApiException(response.status, response.reason, body=await response.text())
        return response


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """An Api for the current context of `kubeconfig`."""
    client = await new_client_from_config(str(kubeconfig), persist_config=False)  # type: ignore[no-untyped-call] # theirs
    async with client:
        yield Api(client)


async def eventually(
    check: Callable[[], Awaitable[T | None]], *, within_s: float = 60, every_s: float = 0.05
) -> T:
    """The first true answer of the coroutine function `check`.

    Raises:
        TimeoutError: none came in time; says the last answer.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not (answer := await check()):
        if loop.time() > end:
            raise TimeoutError(f"not within {within_s} s; the last answer: {answer!r}")
        await asyncio.sleep(every_s)
    return answer
