"""The queue: each key once, never with two workers, retries that grow, and urgent keys before the others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from operator_sim.virtual_time import run
from xstilts_operator.workqueue import BACKOFF_CAP_SECONDS, BACKOFF_SECONDS, WorkQueue


def queue() -> WorkQueue[str]:
    return WorkQueue(random.Random(0))  # noqa: S311 - the same each time


async def drain(keys: WorkQueue[str]) -> list[str]:
    taken = []
    while len(keys):
        key = await keys.get()
        assert key is not None
        taken.append(key)
        keys.done(key)
    return taken


def test_a_key_that_was_added_twice_comes_once() -> None:
    async def check() -> None:
        keys = queue()
        for key in ("a", "b", "a"):
            keys.add(key)
        assert await drain(keys) == ["a", "b"]

    run(check())


def test_a_key_added_while_a_worker_has_it_comes_again_afterwards() -> None:
    async def check() -> None:
        keys = queue()
        keys.add("a")
        assert await keys.get() == "a"
        keys.add("a")
        assert len(keys) == 0
        keys.done("a")
        assert await drain(keys) == ["a"]

    run(check())


def test_urgent_keys_come_before_those_of_the_background_whichever_was_first() -> None:
    async def check() -> None:
        keys = queue()
        keys.add("old", background=True)
        keys.add("both", background=True)
        keys.add("new")
        keys.add("both")
        keys.add("both")
        assert await drain(keys) == ["new", "both", "old"]

    run(check())


def test_a_delay_lasts_unless_something_is_to_come_earlier() -> None:
    async def check() -> list[float]:
        keys, loop, times = queue(), asyncio.get_running_loop(), []
        keys.add_after("a", 10)
        keys.add_after("a", 5)
        keys.add_after("a", 20)
        for _ in range(1):
            key = await keys.get()
            assert key is not None
            times.append(loop.time())
            keys.done(key)
        await asyncio.sleep(30)
        assert keys.idle
        return times

    assert run(check()) == [5]


def test_retries_wait_longer_at_every_failure_up_to_a_cap_and_begin_anew_after_a_success() -> None:
    async def check() -> None:
        keys = queue()
        waits = []
        for _ in range(20):
            keys.add("a")
            assert await keys.get() == "a"
            waits.append(keys.retry("a"))
            keys.done("a")
        for failures, wait in enumerate(waits):
            ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2**failures)
            assert ceiling / 2 <= wait <= ceiling
        keys.forget("a")
        assert keys.retry("a") <= BACKOFF_SECONDS
        assert keys.retry("b", at_least=7) == 7

    run(check())


def test_a_closed_queue_wakes_its_workers_and_gives_out_nothing() -> None:
    async def check() -> None:
        keys = queue()
        workers = [asyncio.ensure_future(keys.get()) for _ in range(3)]
        await asyncio.sleep(1)
        keys.add_after("a", 5)
        keys.close()
        keys.add("b")
        assert await asyncio.gather(*workers) == [None] * 3

    run(check())


def test_stalled_counts_from_the_last_thing_that_a_worker_did() -> None:
    async def check() -> None:
        keys = queue()
        assert keys.stalled() == keys.longest() == 0
        keys.add("a")
        await keys.get()
        keys.add("b")
        await asyncio.sleep(100)
        assert keys.stalled() == keys.longest() == keys.oldest() == 100
        keys.done("a")
        assert keys.stalled() == keys.longest() == 0
        assert keys.oldest() == 100

    run(check())


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 20), st.booleans()), max_size=40),
    st.integers(0, 2**32),
)
def test_workers_lose_no_key_and_never_share_one(adds: list[tuple[str, int, bool]], seed: int) -> None:
    """Whatever is added when, every key is seen after it was last added, and no two workers have it at once."""

    async def check() -> None:
        rng = random.Random(seed)  # noqa: S311 - the same again
        loop = asyncio.get_running_loop()
        keys: WorkQueue[str] = WorkQueue(rng)
        held: Counter[str] = Counter()
        begun: dict[str, float] = {}

        async def work() -> None:
            while (key := await keys.get()) is not None:
                held[key] += 1
                assert held[key] == 1
                begun[key] = loop.time()
                await asyncio.sleep(rng.uniform(0, 3))
                held[key] -= 1
                if rng.random() < 0.2:
                    keys.retry(key)
                else:
                    keys.forget(key)
                keys.done(key)

        workers = [loop.create_task(work()) for _ in range(3)]
        for key, after, background in adds:
            loop.call_later(
                after, lambda key=key, background=background: keys.add(key, background=background)
            )
        await asyncio.sleep(300)
        assert keys.idle
        for key in {key for key, _, _ in adds}:
            assert begun[key] + 1e-6 >= max(after for other, after, _ in adds if other == key)
        keys.close()
        await asyncio.gather(*workers)

    run(check())
