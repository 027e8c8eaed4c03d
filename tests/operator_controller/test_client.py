"""How the API server is reached: through the proxy that the environment names, or past it; and what its answers mean."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from xstilts_operator.actions import Resource
from xstilts_operator.api import ApiError, Refused, ServerError, error_of
from xstilts_operator.client import ClusterApi


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


async def _asked_through_a_proxy(environment: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response({"metadata": {"name": "a"}})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    environment.setenv("http_proxy", f"http://127.0.0.1:{runner.addresses[0][1]}")
    api = ClusterApi(Configuration(host="http://cluster.example"))
    try:
        await api.get(Resource.JOB, "team", "a")
    finally:
        await api.close()
        await runner.cleanup()
    return asked


def test_requests_go_through_the_proxy_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    asked = asyncio.run(_asked_through_a_proxy(environment))
    assert asked == ["http://cluster.example/apis/batch/v1/namespaces/team/jobs/a"]


def test_a_proxy_that_is_not_for_this_host_is_passed_by(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://127.0.0.1:1")
    environment.setenv("no_proxy", "cluster.example")
    configuration = Configuration(host="https://cluster.example")
    ClusterApi(configuration)
    assert configuration.proxy is None


def test_the_proxy_of_the_configuration_comes_first(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("https_proxy", "http://127.0.0.1:1")
    configuration = Configuration(host="https://cluster.example")
    configuration.proxy = "http://127.0.0.1:2"
    ClusterApi(configuration)
    assert configuration.proxy == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        (
            'Internal error occurred: failed calling webhook "mjob.kb.io": failed to call webhook: EOF',
            Refused,  # Kueue is away: people are told so, and not only the log
        ),
        ("Internal error occurred: etcdserver: request timed out", ServerError),
    ],
)
def test_a_webhook_that_is_away_refuses(message: str, meant: type[ApiError]) -> None:
    error = error_of(500, {"message": message, "reason": "InternalError"}, None)
    assert (type(error), str(error)) == (meant, message)
