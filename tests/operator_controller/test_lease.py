"""The Lease: one holder; it is taken when nobody renews it, and an API server that is away takes it from nobody."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operator_sim.virtual_time import run
from xstilts_operator.api import AlreadyExists, Conflict, NotFound, ServerError
from xstilts_operator.lease import DURATION_SECONDS, RENEW_SECONDS, Lease, LeaseLost


class Server:
    """One Lease, as the API server keeps it."""

    def __init__(self) -> None:
        self.lease: Any = None
        self.version = 0
        self.away = False

    async def call(self, _verb: str, _plural: str, method: str, _path: str, *, body: Any = None) -> Any:
        await asyncio.sleep(0.01)
        if self.away:
            raise ServerError("no leader")
        if method == "GET":
            if self.lease is None:
                raise NotFound("no such lease")
            return self.lease
        if method == "POST" and self.lease is not None:
            raise AlreadyExists("it is there")
        if method == "PUT" and body["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict("modified")
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"])


def lease(server: Server, identity: str) -> Lease:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    return Lease(
        server, "ns", "op", identity, lambda: begun + timedelta(seconds=asyncio.get_running_loop().time())
    )


def test_of_two_at_once_one_holds_it_and_the_other_when_it_is_given_back() -> None:
    async def check() -> None:
        server, loop = Server(), asyncio.get_running_loop()
        one, other = lease(server, "one"), lease(server, "other")
        await one.acquire()
        waiting, keeping = loop.create_task(other.acquire()), loop.create_task(one.keep())
        await asyncio.sleep(10 * DURATION_SECONDS)
        assert not waiting.done()
        keeping.cancel()
        await one.release()
        await asyncio.wait_for(waiting, RENEW_SECONDS + 1)
        assert server.holder == "other"
        assert server.lease["spec"]["leaseTransitions"] == 3

    run(check())


def test_it_is_taken_from_a_holder_that_was_killed_once_its_duration_is_over() -> None:
    async def check() -> None:
        server = Server()
        await lease(server, "killed").acquire()
        began = asyncio.get_running_loop().time()
        await lease(server, "next").acquire()
        waited = asyncio.get_running_loop().time() - began
        assert DURATION_SECONDS < waited < DURATION_SECONDS + 2 * RENEW_SECONDS

    run(check())


def test_a_container_that_is_started_again_in_its_pod_takes_it_at_once() -> None:
    async def check() -> None:
        server = Server()
        await lease(server, "pod-1").acquire()
        await asyncio.wait_for(lease(server, "pod-1").acquire(), 1)

    run(check())


def test_an_api_server_that_is_away_takes_it_from_nobody_but_another_holder_does() -> None:
    async def check() -> None:
        server = Server()
        held = lease(server, "one")
        await held.acquire()
        keeping = asyncio.get_running_loop().create_task(held.keep())
        server.away = True
        await asyncio.sleep(20 * DURATION_SECONDS)
        assert not keeping.done()
        server.away = False
        await asyncio.sleep(2 * RENEW_SECONDS)
        server.version += 1
        spec = {**server.lease["spec"], "holderIdentity": "other"}
        server.lease = {"metadata": {"resourceVersion": str(server.version)}, "spec": spec}
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(keeping, 2 * RENEW_SECONDS)

    run(check())
