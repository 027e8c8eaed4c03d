"""kopf's settings, as far as the API server depends on them; and its end, which is no one else's."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from xstilts_operator.actions import Resource
from xstilts_operator.watching import settings, watch


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
