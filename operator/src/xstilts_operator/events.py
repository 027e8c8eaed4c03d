"""Events that a person sees in `kubectl describe`: the same one again only counts up, and nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from xstilts.canonical import digest
from xstilts_operator.actions import Emit, Object
from xstilts_operator.api import KINDS, Api, ApiError
from xstilts_operator.names import MANAGER
from xstilts_operator.tolerant import stamp

REPEAT_SECONDS: Final = 600  # the same Event is written again no sooner; what comes meanwhile is counted
BURST: Final = 25  # different Events about one object that are written at once
REFILL_SECONDS: Final = 60  # after which one more may be
BACKLOG: Final = 1_000  # Events that wait to be written; more are dropped
_REMEMBERED: Final = 10_000
_MESSAGE_LENGTH: Final = 1_024

logger = logging.getLogger(__name__)


@dataclass
class _Said:
    first: datetime
    written: datetime
    count: int = 1


@dataclass
class _Allowance:
    left: float
    since: datetime


class Recorder:
    """Writes Events in a task of its own; what cannot be written is dropped."""

    def __init__(self, api: Api, clock: Callable[[], datetime], instance: str = MANAGER) -> None:
        self._api = api
        self._clock = clock
        self._instance = instance
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self._queue: asyncio.Queue[Object] = asyncio.Queue(BACKLOG)

    def emit(self, event: Emit) -> None:
        """Have an Event written soon, unless it has been lately or its object has had too many."""
        about, now = event.about, self._clock()
        identity = digest([about.uid or "", about.name, event.type, event.reason, event.message])[:32]
        said = self._said.get(identity)
        if said is not None:
            said.count += 1
            if (now - said.written).total_seconds() < REPEAT_SECONDS:
                return
        if self._queue.full() or not self._allowed(f"{about.namespace}/{about.name}", now):
            return
        if said is None:
            said = self._said[identity] = _Said(first=now, written=now)
        said.written = now
        _bound(self._said, identity)
        self._queue.put_nowait(self._body(event, f"{about.name[:200]}.{identity}", said))

    async def run(self) -> None:
        """Write what is emitted, one after the other, until cancelled."""
        while True:
            body = await self._queue.get()
            try:
                await self._api.apply_event(body)
            except ApiError as error:
                logger.info("an Event could not be written: %s", error)

    def _allowed(self, name: str, now: datetime) -> bool:
        allowance = self._allowances.setdefault(name, _Allowance(BURST, now))
        _bound(self._allowances, name)
        earned = (now - allowance.since).total_seconds() / REFILL_SECONDS
        allowance.left, allowance.since = min(BURST, allowance.left + max(0.0, earned)), now
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    def _body(self, event: Emit, name: str, said: _Said) -> Object:
        about = event.about
        involved = {
            "apiVersion": KINDS[about.resource].api_version,
            "kind": about.resource.value,
            "namespace": about.namespace,
            "name": about.name,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": about.namespace},
            "involvedObject": involved | ({"uid": about.uid} if about.uid else {}),
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:_MESSAGE_LENGTH],
            "firstTimestamp": stamp(said.first),
            "lastTimestamp": stamp(said.written),
            "count": said.count,
            "source": {"component": MANAGER},
            "reportingComponent": MANAGER,
            "reportingInstance": self._instance,
        }


def _bound(remembered: OrderedDict[str, Any], used: str) -> None:
    remembered.move_to_end(used)
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
