"""kopf's settings, as far as the API server depends on them; and its end, which is no one else's."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kopf._cogs.clients.errors import APIForbiddenError
from kopf._cogs.clients.watching import Bookmark

from xstilts_operator import watching
from xstilts_operator.actions import Resource
from xstilts_operator.watching import settings, watch


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """CPython 3.11 may collect coroutines within the ast.parse of pytest's next import, which then fails."""
    yield
    gc.collect()


def test_a_watch_asks_for_whole_seconds() -> None:
    """The API server refuses a watch whose timeoutSeconds is no integer, and kopf then only lists, again and again."""
    assert isinstance(settings([Resource.STAGE]).watching.server_timeout, int)


@pytest.mark.slow
def test_when_kopf_gives_up_it_begins_again_and_takes_nothing_with_it_and_a_signal_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    asyncio.run(_give_up_and_begin_again(tmp_path / "kubeconfig"))


async def _give_up_and_begin_again(kubeconfig: Path) -> None:
    asked, loop, stop = asyncio.Event(), asyncio.get_running_loop(), asyncio.Event()

    async def refuse(_: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=400)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _write(kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}")
    watching = loop.create_task(watch([Resource.STAGE], (), lambda *_: None, stop))
    await asyncio.wait_for(asked.wait(), 30)
    younger = loop.create_task(asyncio.sleep(3600))
    for _ in range(2):
        asked.clear()
        await asyncio.wait_for(asked.wait(), 30)
    assert not younger.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(watching, 30)
    assert stop.is_set()
    assert not younger.done()
    younger.cancel()
    await runner.cleanup()


def _write(kubeconfig: Path, server: str) -> None:
    config = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))


def _event(kind: str | None, name: str) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": name}}}


def test_one_object_that_cannot_be_taken_in_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    events = (_event(None, "a"), Bookmark.LISTED, _event("BOOKMARK", ""), _event("ADDED", "poison"))

    async def stream(**_: Any):
        for event in (*events, _event("DELETED", "a")):
            yield event
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "infinite_watch", stream)
    assert asyncio.run(_told_until("DELETED")) == [(None, "a"), ("DELETED", "a")]


def test_a_namespace_that_may_not_be_watched_ends_no_other_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str | None] = []

    async def stream(namespace: str | None, **_: Any):
        tried.append(namespace)
        if namespace == "deleted":
            raise APIForbiddenError({"message": "jobs.batch is forbidden"}, status=403, headers={})
        await asyncio.sleep(0.2)
        yield _event("DELETED", "a")
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "infinite_watch", stream)
    monkeypatch.setattr(watching, "FORBIDDEN_SECONDS", 0.05)
    assert asyncio.run(_told_until("DELETED", ("deleted", "team"))) == [("DELETED", "a")]
    assert tried.count("deleted") > 1  # until it is there again
    assert tried.count("team") == 1


async def _told_until(last: str, namespaces: Sequence[str] = ()) -> list[tuple[str | None, str]]:
    told: list[tuple[str | None, str]] = []
    end = asyncio.Event()

    def take_in(_: Resource, kind: str | None, obj: Any) -> None:
        if obj["metadata"]["name"] == "poison":
            raise ValueError("past all that was foreseen")
        told.append((kind, obj["metadata"]["name"]))
        if kind == last:
            end.set()

    streams = asyncio.create_task(
        watching._streams([Resource.JOB], namespaces, take_in, settings([Resource.JOB]))
    )
    await asyncio.wait_for(end.wait(), 10)
    streams.cancel()
    await asyncio.gather(streams, return_exceptions=True)
    return told
