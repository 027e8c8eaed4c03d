"""How often a stage's progress is written, by a virtual clock."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts_operator.progress.report import Report
from xstilts_operator.progress.tokens import Reporter
from xstilts_operator.progress.writes import Schedule, Write, Writer

WHEN = datetime(2026, 11, 24, tzinfo=UTC)


@cache
def said(percent: int) -> Report:
    return Report(progressPercentage=percent, lastUpdatedTime=WHEN)


def report(stage: str, percent: int, attempt: int = 1) -> Write:
    return Write(Reporter("research", stage, f"uid-{stage}", str(attempt)), said(percent))


class Drive:
    """Offers reports and takes what is due, as the writer does, on a clock that only moves here."""

    def __init__(self, **limits: float) -> None:
        self.schedule = Schedule(**limits)
        self.now = 1_000.0
        self.written: list[tuple[float, str, int | None, str]] = []

    def offer(self, *writes: Write) -> None:
        for write in writes:
            self.schedule.offer(write, self.now)

    def run(self, until: float) -> None:
        while True:
            write = self.schedule.take(self.now)
            if write is not None:
                reporter = write.reporter
                self.written.append((self.now, reporter.stage, write.report.percent, reporter.attempt))
                continue
            wait = self.schedule.seconds_to_next(self.now)
            if wait is None or self.now + wait > until:
                self.now = until
                return
            assert wait > 0
            self.now += wait

    def most_in_a_second(self) -> int:
        times = [when for when, *_ in self.written]
        return max(
            sum(when <= other < when + 1 - 1e-9 for other in times[index : index + 50])
            for index, when in enumerate(times)
        )


def test_the_latest_report_is_written_once_a_minute() -> None:
    drive = Drive()
    for second in range(0, 300, 10):
        drive.offer(report("train-a", second // 10))
        drive.run(until=1_000.0 + second + 10)
    # a report goes at once, and then the newest each minute
    assert [(when - 1_000, percent) for when, _, percent, _ in drive.written] == [
        (0, 0), (60, 5), (120, 11), (180, 17), (240, 23), (300, 29)
    ]  # fmt: skip


def test_the_end_and_a_new_attempt_do_not_wait_for_the_minute() -> None:
    drive = Drive()
    for offset, percent, attempt in (
        (0, 0, 1),
        (5, 40, 1),
        (10, 100, 1),
        (15, 100, 1),
        (20, 3, 2),
        (25, 4, 2),
    ):
        drive.now = 1_000.0 + offset
        drive.offer(report("train-a", percent, attempt))
        drive.run(until=drive.now + 4)
    drive.run(until=1_200.0)
    assert [(round(when - 1_000), percent, attempt) for when, _, percent, attempt in drive.written] == [
        (0, 0, "1"), (10, 100, "1"), (20, 3, "2"), (80, 4, "2")
    ]  # fmt: skip


def test_swinging_between_99_and_100_gains_next_to_nothing() -> None:
    drive = Drive()
    for second in range(600):
        drive.offer(report("train-a", 99 + second % 2))
        drive.run(until=1_001.0 + second)
    assert len(drive.written) <= 2 + 2 * 600 / 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_stages() -> None:
    """Each reports once a minute, 20 of them every second, and 500 end. Twenty minutes go by."""
    rng = random.Random(0)  # noqa: S311 - no secret is made of it
    stages = [f"train-{index}" for index in range(10_000)]
    eager, others = stages[:20], stages[20:]
    ends = {stage: rng.randrange(600, 1_195) for stage in rng.sample(others, 500)}
    turns = [others[turn::60] for turn in range(60)]
    drive = Drive()
    waited: list[float] = []
    for second in range(1_200):
        reporting = [*eager, *turns[second % 60], *(stage for stage, end in ends.items() if end == second)]
        for stage in reporting:
            end = ends.get(stage, 10_000)
            if second <= end:
                drive.offer(report(stage, 100 if second == end else second // 13))
        before = len(drive.written)
        drive.run(until=1_001.0 + second)
        waited += [
            when - 1_000 - ends[stage] for when, stage, percent, _ in drive.written[before:] if percent == 100
        ]
    assert drive.most_in_a_second() <= 20
    assert len(drive.written) >= 1_200 * 20 * 0.98  # and no slot is wasted
    last: dict[str, float] = {}
    for when, stage, percent, _ in drive.written:
        assert percent == 100 or when - last.get(stage, 0) >= 60
        last[stage] = when
    counts = Counter(stage for _, stage, percent, _ in drive.written if percent != 100)
    running = [counts[stage] for stage in stages if stage not in ends]
    assert max(running) - min(running) <= 1  # also of those that report sixty times as often
    assert len(waited) == 500
    assert max(waited) < 2  # the end of a stage does not queue behind 10,000 others


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from([0, 50, 99, 100]), st.integers(1, 2), st.integers(0, 90)
        ),
        max_size=40,
    )
)
def test_limits_hold_and_the_last_report_arrives(events: list[tuple[str, int, int, int]]) -> None:
    drive = Drive(per_second=2.0, stage_seconds=30.0)
    newest: dict[str, tuple[int, str]] = {}
    for stage, percent, attempt, pause in events:
        drive.offer(report(stage, percent, attempt))
        newest[stage] = (percent, str(attempt))
        drive.run(until=drive.now + pause)
    drive.run(until=drive.now + 200)
    times = [when for when, *_ in drive.written]
    assert all(later - earlier >= 0.5 - 1e-9 for earlier, later in pairwise(times))
    assert {stage: (percent, attempt) for _, stage, percent, attempt in drive.written} == newest
    assert len(drive.schedule) == 0
    last: dict[str, tuple[float, int | None, str]] = {}
    for when, stage, percent, attempt in drive.written:
        if stage in last:
            then, before, of = last[stage]
            assert when - then >= 30 - 1e-9 or attempt != of or (percent == 100 != before)
        last[stage] = (when, percent, attempt)


def test_the_writer_writes_and_waits() -> None:
    written: list[str] = []

    async def write(one: Write) -> None:
        written.append(one.reporter.stage)

    async def scenario() -> None:
        writer = Writer(write, Schedule(per_second=1_000))
        running = asyncio.create_task(writer.run())
        await asyncio.sleep(0.01)
        for stage in ("a", "b", "c"):
            writer.offer(report(stage, 1))
        assert writer.pending == 3
        for _ in range(200):
            await asyncio.sleep(0.01)
            if writer.pending == 0:
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    assert written == ["a", "b", "c"]
