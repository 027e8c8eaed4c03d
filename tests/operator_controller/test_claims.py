"""The claims of stores are read before a decision, seldom, and what is not known is in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from operator_sim.virtual_time import run
from xstilts_operator.actions import Object, Resource
from xstilts_operator.api import ApiError, NotFound, Refused, ServerError
from xstilts_operator.cache import Cache
from xstilts_operator.claims import BAD_SECONDS, GOOD_SECONDS, Claims
from xstilts_operator.routing import Key
from xstilts_operator.settings import Settings
from xstilts_operator.views import ClaimView

PATH = "/api/v1/namespaces/team/persistentvolumeclaims/experiments"
SETTINGS = Settings.parse(
    {
        "images": {"trainer": "trainer:1", "operator": "operator:1"},
        "stores": {
            "default": {"claim": "experiments"},
            "bucket": {"url": "s3://bucket"},
            "closed": {"claim": "others", "namespaces": ["elsewhere"]},
        },
    }
)
BOUND = {"status": {"phase": "Bound", "accessModes": ["ReadWriteMany"]}}


class Bench:
    """An API server that answers one thing, and what it was asked."""

    def __init__(self, answer: Object | ApiError) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.cache = Cache()
        self.claims = Claims(self, self.cache, SETTINGS)

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
        assert (verb, plural, method, query, body, content) == (
            "get",
            "persistentvolumeclaims",
            "GET",
            None,
            None,
            "application/json",
        )
        self.asked.append(path)
        await asyncio.sleep(0.1)
        if isinstance(self.answer, ApiError):
            raise self.answer
        return dict(self.answer)

    def submit(self, name: str, **spec: Any) -> Key:
        metadata = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"}
        self.cache.upsert(Resource.EXPERIMENT, {"metadata": metadata, "spec": spec})
        return Key(Resource.EXPERIMENT, "team", name)


def test_the_claim_of_an_experiments_store_is_read_and_kept_for_a_while() -> None:
    async def check() -> None:
        bench = Bench(BOUND)
        named, unnamed = bench.submit("named", store={"name": "default"}), bench.submit("unnamed")
        assert bench.claims.of("team", "default") is None
        await bench.claims.look(named)
        await bench.claims.look(unnamed)
        assert bench.asked == [PATH]
        assert bench.claims.of("team", "default") == ClaimView(phase="Bound", modes=("ReadWriteMany",))
        await asyncio.sleep(GOOD_SECONDS + 1)
        await bench.claims.look(unnamed)
        assert bench.asked == [PATH, PATH]

    run(check())


def test_workers_that_want_it_at_once_wait_for_one_reading() -> None:
    async def check() -> None:
        bench = Bench(BOUND)
        keys = [bench.submit(f"grid-{number}") for number in range(32)]
        await asyncio.gather(*map(bench.claims.look, keys))
        assert bench.asked == [PATH]
        bench.answer = ServerError("later")
        await asyncio.sleep(GOOD_SECONDS + 1)
        failed = await asyncio.gather(*map(bench.claims.look, keys), return_exceptions=True)
        assert [type(one) for one in failed] == [ServerError] * 32
        assert bench.asked == [PATH, PATH]

    run(check())


def test_one_that_will_not_do_is_read_again_soon() -> None:
    async def check() -> None:
        bench = Bench(NotFound("gone"))
        key = bench.submit("grid")
        await bench.claims.look(key)
        assert bench.claims.of("team", "default") == ClaimView(there=False)
        bench.answer = BOUND
        await asyncio.sleep(BAD_SECONDS + 1)
        await bench.claims.look(key)
        found = bench.claims.of("team", "default")
        assert found is not None
        assert found.mountable_by_many

    run(check())


def test_without_the_right_to_read_it_nothing_is_known_and_nothing_asked_again_at_once() -> None:
    async def check() -> None:
        bench = Bench(Refused("forbidden"))
        key = bench.submit("grid")
        await bench.claims.look(key)
        await bench.claims.look(key)
        assert bench.claims.of("team", "default") is None
        assert bench.asked == [PATH]

    run(check())


def test_an_api_server_that_does_not_answer_ends_the_decision() -> None:
    async def check() -> None:
        bench = Bench(ServerError("down"))
        with pytest.raises(ServerError):
            await bench.claims.look(bench.submit("grid"))

    run(check())


def test_nothing_is_read_of_stages_object_stores_and_what_may_not_be_used() -> None:
    async def check() -> None:
        bench = Bench(BOUND)
        for store in ("bucket", "closed", "unknown"):
            await bench.claims.look(bench.submit(store, store={"name": store}))
        await bench.claims.look(Key(Resource.EXPERIMENT, "team", "gone"))
        await bench.claims.look(Key(Resource.STAGE, "team", "experiments"))
        assert bench.asked == []

    run(check())
