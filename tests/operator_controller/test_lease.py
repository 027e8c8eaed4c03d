"""The Lease: one holder; it is taken when nobody renews it, and an API server that is away takes it from nobody."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operator_sim.virtual_time import run
from xstilts_operator.api import AlreadyExists, Conflict, NotFound, ServerError
from xstilts_operator.lease import ANSWER_SECONDS, DURATION_SECONDS, RENEW_SECONDS, Lease, LeaseLost


class Server:
    """One Lease, as the API server keeps it."""

    def __init__(self) -> None:
        self.lease: Any = None
        self.version = 0
        self.away = False
        self.slow = 0.01

    async def call(
        self,
        verb: str,
        plural: str,
        method: str,
        path: str,
        query: Any = None,
        *,
        body: Any = None,
        content: str = "",
    ) -> Any:
        assert (plural, query, content) == ("leases", None, ""), verb
        await asyncio.sleep(self.slow)
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


def test_who_waits_says_once_for_whom(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        server = Server()
        one, other = lease(server, "one"), lease(server, "other")
        await one.acquire()
        loop = asyncio.get_running_loop()
        waiting, keeping = loop.create_task(other.acquire()), loop.create_task(one.keep())
        await asyncio.sleep(10 * DURATION_SECONDS)
        for task in (waiting, keeping):
            task.cancel()

    run(check())
    assert [record.getMessage() for record in caplog.records] == ["waits: one holds the Lease ns/op"]


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
        assert not held.holds()  # so nothing is written
        server.away = False
        await asyncio.sleep(2 * RENEW_SECONDS)
        assert held.holds()
        server.version += 1
        spec = {**server.lease["spec"], "holderIdentity": "other"}
        server.lease = {"metadata": {"resourceVersion": str(server.version)}, "spec": spec}
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(keeping, 2 * RENEW_SECONDS)

    run(check())


def test_a_holder_may_write_until_its_duration_is_over_and_no_other_takes_it_before() -> None:
    async def check() -> None:
        server, loop = Server(), asyncio.get_running_loop()
        one, other = lease(server, "one"), lease(server, "other")
        assert not one.holds()
        await one.acquire()
        waiting = loop.create_task(other.acquire())
        held = neither = 0
        while not waiting.done():
            assert not (one.holds() and other.holds())
            held += one.holds()
            neither += not one.holds()
            await asyncio.sleep(0.05)
        assert held * 0.05 == pytest.approx(DURATION_SECONDS, abs=0.2)
        assert neither > 0
        assert (one.holds(), other.holds()) == (False, True)

    run(check())


def test_the_time_that_a_renewal_took_does_not_count_for_the_holder() -> None:
    async def check() -> None:
        server = Server()
        held = lease(server, "one")
        await held.acquire()
        server.slow = 4.0
        keeping = asyncio.get_running_loop().create_task(held.keep())
        await asyncio.sleep(RENEW_SECONDS + ANSWER_SECONDS)  # it read, and has no answer to its write yet
        server.slow = 100.0
        await asyncio.sleep(DURATION_SECONDS - RENEW_SECONDS - ANSWER_SECONDS)
        assert not held.holds()
        server.slow = 0.01
        await asyncio.sleep(2 * RENEW_SECONDS + ANSWER_SECONDS)
        assert held.holds()  # a silent connection was given up
        keeping.cancel()

    run(check())


def test_who_was_overtaken_between_read_and_write_has_renewed_nothing() -> None:
    async def check() -> None:
        server = Server()
        held = lease(server, "one")
        await held.acquire()
        keeping = asyncio.get_running_loop().create_task(held.keep())
        await asyncio.sleep(RENEW_SECONDS + 0.015)  # it has read, and its write is under way
        server.version += 1
        spec = {**server.lease["spec"], "holderIdentity": "other"}
        server.lease = {"metadata": {"resourceVersion": str(server.version)}, "spec": spec}
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(keeping, 2 * RENEW_SECONDS)
        await asyncio.sleep(DURATION_SECONDS - 2 * RENEW_SECONDS)
        assert not held.holds()

    run(check())
