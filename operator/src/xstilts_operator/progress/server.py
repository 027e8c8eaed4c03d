"""The progress server: pods post how far their stages are, over TLS, each for its own stage alone."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from aiohttp import web

from xstilts_operator.cache import Cache
from xstilts_operator.progress.protocol import BODY_LIMIT, path
from xstilts_operator.progress.refusal import RefusedError
from xstilts_operator.progress.report import parse_report
from xstilts_operator.progress.tokens import Issuer, bearer_of, reporter_of
from xstilts_operator.progress.writes import Write, Writer

READ_SECONDS: Final = 10.0  # for a whole body
IDLE_SECONDS: Final = 30.0  # that a connection may be open without a request
STAGE_BURST: Final = 10  # reports of one stage at once
STAGE_SECONDS: Final = 2.0  # and then one in so many seconds; KubeflowCallback sends one in five
_REMEMBERED: Final = 20_000
_BACKLOG: Final = 1024  # connections that wait: after a restart all pods come at once

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProgressServer:
    """Takes reports of the stages in the cache and hands them to the writer.

    `issuer` has the keys that tokens are verified by; `seen` is told the HTTP status of every answer; `clock` is
    monotonic, `now` the time of day.
    """

    def __init__(
        self,
        issuer: Issuer,
        cache: Cache,
        writer: Writer,
        seen: Callable[[int], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._issuer = issuer
        self._cache = cache
        self._writer = writer
        self._seen = seen
        self._clock = clock
        self._now = now
        self._allowance = Allowance(STAGE_BURST, STAGE_SECONDS)

    def application(self) -> web.Application:
        """The web application: one address, and a Status object for everything else."""
        application = web.Application(client_max_size=BODY_LIMIT, middlewares=[self._answer_in_status])
        application.router.add_post(path("{namespace}", "{stage}"), self._take)
        return application

    async def start(self, host: str | None, port: int, context: ssl.SSLContext) -> web.AppRunner:
        """Listen; the caller cleans the runner up at the end.

        Raises:
            OSError: the port is taken.
        """
        runner = web.AppRunner(
            self.application(), access_log=None, keepalive_timeout=IDLE_SECONDS, shutdown_timeout=5.0
        )
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=context, backlog=_BACKLOG).start()
        return runner

    async def _take(self, request: web.Request) -> web.StreamResponse:
        namespace, stage = request.match_info["namespace"], request.match_info["stage"]
        authorization = request.headers.get("Authorization")
        bearer = await bearer_of(authorization, self._issuer, namespace, stage, self._now())
        reporter = reporter_of(bearer, namespace, stage, self._cache)
        wait = self._allowance.take((namespace, stage), self._clock())
        if wait > 0:
            raise RefusedError(429, "reports of this stage must be fewer", retry_after=int(wait) + 1)
        body = await _body(request)
        report = parse_report(body)
        if report is not None:
            self._writer.offer(Write(reporter, report))
        return web.Response(body=body, content_type="application/json")

    @web.middleware
    async def _answer_in_status(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except RefusedError as error:
            response = _refuse(error)
        except web.HTTPRequestEntityTooLarge:
            response = _refuse(RefusedError(413, f"a report must have at most {BODY_LIMIT} bytes"))
        except web.HTTPException as error:  # aiohttp's own: no such address, no such method
            response = _refuse(RefusedError(error.status, HTTPStatus(error.status).phrase))
        self._seen(response.status)
        return response


class Allowance:
    """How many reports a stage may send: `burst` at once, and then one in `seconds`. A token bucket for each stage."""

    def __init__(self, burst: int, seconds: float) -> None:
        self._burst = burst
        self._seconds = seconds
        self._empty_at: OrderedDict[tuple[str, str], float] = OrderedDict()  # when all that was taken is back

    def take(self, stage: tuple[str, str], now: float) -> float:
        """Take one; returns 0, or in how many seconds there is one, and then none was taken."""
        back_at = max(self._empty_at.get(stage, now), now) + self._seconds
        wait = back_at - now - self._burst * self._seconds
        if wait > 1e-9:
            return wait
        self._empty_at[stage] = back_at
        self._empty_at.move_to_end(stage)
        if len(self._empty_at) > _REMEMBERED:
            self._empty_at.popitem(last=False)
        return 0.0


async def _body(request: web.Request) -> bytes:
    if request.content_length is not None and request.content_length > BODY_LIMIT:
        raise RefusedError(413, f"a report must have at most {BODY_LIMIT} bytes")
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise RefusedError(408, f"a report must arrive within {READ_SECONDS:.0f} s") from None


def _refuse(error: RefusedError) -> web.Response:
    return web.json_response(error.status(), status=error.code, headers=error.headers)
