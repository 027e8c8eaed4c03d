"""Which stage's progress is written when: few writes, the latest report of each stage, and no stage forgotten."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from xstilts_operator.progress.report import Report
from xstilts_operator.progress.tokens import Reporter

PER_SECOND: Final = 20  # writes of all stages together
STAGE_SECONDS: Final = 60.0  # between two of one stage that say nothing pressing
_REMEMBERED: Final = 20_000  # stages of which it is known when they were written last

Stage = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class Write:
    """A report, and the stage's pod that sent it."""

    reporter: Reporter
    report: Report

    @property
    def stage(self) -> Stage:
        """The stage whose status it goes into."""
        return self.reporter.namespace, self.reporter.stage


@dataclass(frozen=True)
class _Written:
    at: float
    attempt: tuple[str, str]
    is_whole: bool


class Schedule:
    """Reports that wait to be written, by a clock that the caller reads.

    At most `per_second` writes in all, evenly spaced; a stage at most once in `stage_seconds`, unless it is the first
    report of an attempt or the first that says 100 %. Those go before the others, which go in the order in which their
    stages came due: a stage that reports more often is not written more often. A newer report takes the place of an
    older one that waits.
    """

    def __init__(self, per_second: float = PER_SECOND, stage_seconds: float = STAGE_SECONDS) -> None:
        self._space = 1 / per_second
        self._stage_seconds = stage_seconds
        self._waiting: dict[Stage, Write] = {}
        self._pressing: OrderedDict[Stage, None] = OrderedDict()
        self._due: OrderedDict[Stage, None] = OrderedDict()
        self._later: list[tuple[float, Stage]] = []  # a heap: when the stage comes due
        self._written: OrderedDict[Stage, _Written] = OrderedDict()
        self._next_at = 0.0

    def __len__(self) -> int:
        """How many stages' reports wait."""
        return len(self._waiting)

    def offer(self, write: Write, now: float) -> None:
        """Take in a report."""
        stage, written = write.stage, self._written.get(write.stage)
        if written is None or _is_pressing(write, written):
            self._due.pop(stage, None)
            self._pressing[stage] = None
        elif stage not in self._waiting:
            heapq.heappush(self._later, (self._due_at(written), stage))
        self._waiting[stage] = write
        self._come_due(now)

    def take(self, now: float) -> Write | None:
        """The report to write now, if there is one and it is time."""
        self._come_due(now)
        queue = self._pressing or self._due
        if not queue or now < self._next_at:
            return None
        stage, _ = queue.popitem(last=False)
        write = self._waiting.pop(stage)
        self._written.pop(stage, None)
        self._written[stage] = _Written(now, _attempt(write), is_whole=write.report.percent == 100)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        self._next_at = now + self._space
        return write

    def seconds_to_next(self, now: float) -> float | None:
        """In how many seconds `take` may have something; None: not before something is offered."""
        self._come_due(now)
        if self._pressing or self._due:
            return max(0.0, self._next_at - now)
        return max(0.0, self._later[0][0] - now) if self._later else None

    def _come_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, stage = heapq.heappop(self._later)
            written = self._written.get(stage)
            was_written_since = written is not None and self._due_at(written) > now
            if stage in self._waiting and stage not in self._pressing and not was_written_since:
                self._due[stage] = None

    def _due_at(self, written: _Written) -> float:
        return written.at + self._stage_seconds


def _attempt(write: Write) -> tuple[str, str]:
    return write.reporter.uid, write.reporter.attempt


def _is_pressing(write: Write, written: _Written) -> bool:
    is_finished = write.report.percent == 100 and not written.is_whole
    return _attempt(write) != written.attempt or is_finished


class Writer:
    """Writes what the schedule says, one after the other and no faster than it says.

    `write` puts one report into the stage's status and sees to its own errors: a report that is lost is followed by
    another.
    """

    def __init__(
        self,
        write: Callable[[Write], Awaitable[None]],
        schedule: Schedule | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._schedule = schedule if schedule is not None else Schedule()
        self._clock = clock
        self._offered = asyncio.Event()

    @property
    def pending(self) -> int:
        """How many stages' reports wait."""
        return len(self._schedule)

    def offer(self, write: Write) -> None:
        """Take in a report; it is written when its turn comes."""
        self._schedule.offer(write, self._clock())
        self._offered.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            write = self._schedule.take(self._clock())
            if write is None:
                await self._wait(self._schedule.seconds_to_next(self._clock()))
            else:
                await self._write(write)

    async def _wait(self, seconds: float | None) -> None:
        self._offered.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._offered.wait()
        except TimeoutError:
            return
