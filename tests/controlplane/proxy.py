"""A TCP proxy before the API server whose connections can fall silent, as behind a lost route or a dead load balancer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_CHUNK = 1 << 16


class Proxy:
    """Forwards connections to the API server; `kubeconfig` leads through it."""

    def __init__(self, kubeconfig: Path, host: str, port: int) -> None:
        self.kubeconfig = kubeconfig
        self._target = host, port
        self._silent = False
        self._links: dict[asyncio.Task[None], asyncio.Event] = {}  # connection -> set while it forwards

    def hang(self) -> int:
        """Forward nothing any more on the connections that are open, and stay so; returns how many."""
        for flows in self._links.values():
            flows.clear()
        return len(self._links)

    def silence(self) -> None:
        """Forward nothing on any connection, old or new."""
        self._silent = True
        self.hang()

    def recover(self) -> None:
        """Forward everything again, and what was held back."""
        self._silent = False
        for flows in self._links.values():
            flows.set()

    async def accept(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        flows = self._links[task] = asyncio.Event()
        if not self._silent:
            flows.set()
        try:
            far, far_writer = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(near, far_writer, flows))
                    group.create_task(_pump(far, near_writer, flows))
            finally:
                far_writer.close()
        except* OSError:  # refused or reset, by either side
            pass
        finally:
            near_writer.close()
            del self._links[task]

    async def close(self) -> None:
        """End every connection."""
        links = list(self._links)
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    """Forward until the source ends; while nothing flows, its end is not told either."""
    while data := await source.read(_CHUNK):
        await flows.wait()
        sink.write(data)
        await sink.drain()
    await flows.wait()
    with suppress(OSError):
        sink.write_eof()


@asynccontextmanager
async def proxied(kubeconfig: Path, folder: Path) -> AsyncIterator[Proxy]:
    """A proxy before the API server of `kubeconfig`; its own kubeconfig is written into `folder`."""
    server = urlsplit(_read(kubeconfig)["clusters"][0]["cluster"]["server"])
    assert server.hostname
    proxy = Proxy(folder / "proxied.kubeconfig", server.hostname, server.port or 443)
    async with await asyncio.start_server(proxy.accept, "127.0.0.1") as listener:
        port: int = listener.sockets[0].getsockname()[1]
        _write(proxy.kubeconfig, _read(kubeconfig), f"https://127.0.0.1:{port}")
        try:
            yield proxy
        finally:
            await proxy.close()


def _read(kubeconfig: Path) -> Any:
    return yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))


def _write(path: Path, config: Any, server: str) -> None:
    config["clusters"][0]["cluster"]["server"] = server
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
