"""Who of several operators works: the holder of a Lease, as client-go's leader election has it.

Safety does not rest on it alone: names and versions keep two writers from harm. An API server that does not answer takes
the Lease from nobody; only another holder does. But who has not renewed it for its duration writes nothing until it has:
another may have taken it since, and a process that was paused does not know for how long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from xstilts_operator.actions import Object
from xstilts_operator.api import AlreadyExists, ApiError, Caller, Conflict, NotFound
from xstilts_operator.names import MANAGED_BY, MANAGER
from xstilts_operator.tolerant import count, mapping, text

DURATION_SECONDS: Final = 10
RENEW_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = (
    5.0  # a request on a connection that has fallen silent is made anew before the Lease is over
)
_API: Final = "/apis/coordination.k8s.io/v1"

logger = logging.getLogger(__name__)


class LeaseLost(Exception):  # noqa: N818 - what has happened, not whose fault it is
    """Another operator holds the Lease: this process must end."""


class Lease:
    """One Lease and one who wants it. `identity` is unique among all processes that may run at once."""

    def __init__(
        self, api: Caller, namespace: str, name: str, identity: str, clock: Callable[[], datetime]
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._seen: tuple[str, float] = ("", 0.0)  # the version last seen, and since when
        self._holder = ""  # at the last look, where it was not ours to take
        self._renewed: float | None = None  # when the write that renewed it last was sent

    async def acquire(self) -> None:
        """Wait until the Lease is ours: nobody has renewed it for its duration, by our own clock."""
        told = ""
        while True:
            try:
                if await self._try():
                    return
                if self._holder != told:
                    told = self._holder
                    logger.warning("waits: %s holds the Lease %s/%s", told, self._namespace, self._name)
            except ApiError as error:
                logger.warning("the Lease %s could not be read or written: %s", self._name, error)
            await asyncio.sleep(RENEW_SECONDS)

    async def keep(self) -> None:
        """Renew the Lease until cancelled.

        Raises:
            LeaseLost: another holds it.
        """
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    ours = await self._try()
            except (ApiError, TimeoutError) as error:
                logger.warning("the Lease %s could not be renewed: %s", self._name, error or "no answer")
                continue
            if not ours:
                raise LeaseLost(f"another operator holds the Lease {self._namespace}/{self._name}")

    def holds(self) -> bool:
        """Whether nobody else can have taken it yet: who waits counts its duration from a later moment."""
        now = asyncio.get_running_loop().time()
        return self._renewed is not None and now - self._renewed < DURATION_SECONDS

    async def release(self) -> None:
        """Give the Lease to whoever comes next. Best effort."""
        try:
            lease = await self._read()
            if lease is not None and mapping(lease, "spec").get("holderIdentity") == self._identity:
                await self._write(lease, holder="")
        except ApiError as error:
            logger.info("the Lease %s could not be released: %s", self._name, error)

    async def _try(self) -> bool:
        lease = await self._read()
        if lease is not None and not self._is_free(lease):
            return False
        began = asyncio.get_running_loop().time()
        try:
            await self._write(lease, holder=self._identity)
        except (AlreadyExists, Conflict):  # somebody was faster; the next look says who
            return lease is not None and mapping(lease, "spec").get("holderIdentity") == self._identity
        self._renewed = began
        return True

    def _is_free(self, lease: Object) -> bool:
        spec, now = mapping(lease, "spec"), asyncio.get_running_loop().time()
        holder = text(spec.get("holderIdentity"))
        version = text(mapping(lease, "metadata").get("resourceVersion"))
        if version != self._seen[0]:
            self._seen = (version, now)
            self._holder = holder
        seconds = count(spec.get("leaseDurationSeconds")) or DURATION_SECONDS
        return holder in {"", self._identity} or now - self._seen[1] > seconds

    async def _read(self) -> Object | None:
        try:
            return await self._api.call("get", "leases", "GET", f"{self._path}/{self._name}")
        except NotFound:
            return None

    async def _write(self, lease: Object | None, *, holder: str) -> None:
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = mapping(lease, "spec")
        same = before.get("holderIdentity") == holder
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION_SECONDS if holder else 1,
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": count(before.get("leaseTransitions")) + (0 if same else 1),
        }
        metadata: dict[str, Any] = {
            "namespace": self._namespace,
            "name": self._name,
            "labels": {MANAGED_BY: MANAGER},  # by which `xstilts doctor` knows it, whatever its name
        }
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        if lease is None:
            await self._api.call("create", "leases", "POST", self._path, body=body)
            return
        body["metadata"] = {**metadata, "resourceVersion": mapping(lease, "metadata")["resourceVersion"]}
        await self._api.call("update", "leases", "PUT", f"{self._path}/{self._name}", body=body)

    @property
    def _path(self) -> str:
        return f"{_API}/namespaces/{self._namespace}/leases"
