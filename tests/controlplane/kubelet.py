"""The part of a kubelet that the API server asks for a pod's log: an HTTPS server that a node's status names."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from controlplane.api import Api
from controlplane.certificates import Authority

Lines = Callable[[str], Sequence[str]]  # of a pod, by its name


@asynccontextmanager
async def serving_logs(api: Api, node: str, folder: Path, lines: Lines) -> AsyncIterator[None]:
    """Answer for the logs of the pods of `node`, which must be there. The API server does not check who answers."""

    async def log(request: web.Request) -> web.Response:
        said = [*lines(request.match_info["pod"])]
        tail = request.query.get("tailLines")
        return web.Response(text="".join(f"{line}\n" for line in said[-int(tail) if tail else 0 :]))

    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", log)
    pair = Authority(folder / "kubelet").issue("kubelet", hosts=("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pair)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    try:
        await api.patch(f"/api/v1/nodes/{node}/status", {"status": status})
        yield
    finally:
        await api.patch(f"/api/v1/nodes/{node}/status", {"status": {"addresses": []}})
        await runner.cleanup()
