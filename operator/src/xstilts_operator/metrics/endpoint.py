"""Where Prometheus scrapes: /metrics on a port of its own, in the operator's event loop."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

PORT: Final = 8080


async def serve_metrics(
    registry: CollectorRegistry, host: str | None = None, port: int = PORT
) -> web.AppRunner:
    """Listen; the caller cleans the runner up at the end.

    Raises:
        OSError: the port is taken.
    """

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
