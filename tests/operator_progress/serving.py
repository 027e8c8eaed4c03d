"""The whole progress server in a thread of its own, on loopback, over TLS, with its pod's files on disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

from operator_progress.issuing import NAMESPACE, STAGE, ApiServer
from xstilts_operator.cache import Cache
from xstilts_operator.progress.protocol import CA_KEY, CA_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE, url
from xstilts_operator.progress.service import serve_progress


class Counts:
    """What the service tells its observer."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.writes: Counter[str] = Counter()
        self.pending: Callable[[], int] = int

    def progress_answered(self, code: int) -> None:
        self.answers[code] += 1

    def progress_written(self, outcome: str) -> None:
        self.writes[outcome] += 1

    def progress_pending(self, pending: Callable[[], int]) -> None:
        self.pending = pending


class Serving:
    """The progress server while the context is open."""

    def __init__(self, api: ApiServer, cache: Cache, folder: Path, port: int) -> None:
        self.api, self.cache, self.counts = api, cache, Counts()
        self.address = f"https://127.0.0.1:{port}"
        self.url = url(self.address, NAMESPACE, STAGE)
        self.ca, self.token = folder / CA_KEY, folder / "token"
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    @property
    def environment(self) -> dict[str, str]:
        """What a stage's pod has in its environment."""
        return {URL_VARIABLE: self.url, CA_VARIABLE: str(self.ca), TOKEN_VARIABLE: str(self.token)}

    def wait_for(self, condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.counts.answers, self.counts.writes)
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30)
        self.wait_for(lambda: self.api.config_maps)
        ((_, published),) = self.api.config_maps.items()
        self.ca.write_text(published["data"][CA_KEY])
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _serve(self) -> None:
        service = serve_progress(
            self.address, self.cache, self.api, self.counts, host="127.0.0.1", port=self._port
        )
        async with service:
            self._started.set()
            await self._stop.wait()
        await asyncio.sleep(0.3)  # connections say goodbye
