"""The fake API server keeps the contract that a real one is held to in `operator_integration`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from operator_sim.cluster import Cluster, End
from operator_sim.contract import CONTRACT
from operator_sim.store import Store
from operator_sim.virtual_time import run
from operator_sim.weather import FakeApi, Weather
from xstilts_operator.actions import Resource
from xstilts_operator.api import Api, Refused

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("holds", CONTRACT, ids=lambda holds: holds.__name__)
def test_the_fake_api_server_is_as_the_real_one(holds: Callable[[Api, str], Awaitable[None]]) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        store = Store(lambda: START + timedelta(seconds=loop.time()))
        rng = random.Random(0)  # noqa: S311 - the same each time
        Cluster(store, rng, store.clock, lambda *_: End(), set())
        await holds(FakeApi(store, Weather(rng)), "team")

    run(check())


def test_what_is_immutable_stays() -> None:
    store = Store(lambda: START)
    body = {"metadata": {"name": "plan", "namespace": "team"}, "immutable": True, "binaryData": {"plan": "a"}}
    made = store.create(Resource.CONFIG_MAP, body)
    with pytest.raises(Refused):
        store.update(Resource.CONFIG_MAP, {**made, "binaryData": {"plan": "b"}})
    spec = {"metadata": {"name": "stage", "namespace": "team"}, "spec": {"key": "a"}}
    stage = store.create(Resource.STAGE, spec)
    with pytest.raises(Refused):
        store.update(Resource.STAGE, {**stage, "spec": {"key": "b"}})
