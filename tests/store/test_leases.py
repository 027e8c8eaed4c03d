"""Leases of an object store when processes are slow at the wrong moment: one owner at a time all the same."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

import fsspec
import pytest

from xstilts.store.locks import Leases, LeaseTimes
from xstilts.store.objects import Objects

TIMES = LeaseTimes(heartbeat=0.3, expiry=1.5, poll=0.05)


class Held(Objects):
    """Objects whose process is held up once: before it creates one, or behind its third reading."""

    def __init__(
        self, root: str, *, before_create: Callable[[], None] | None = None, behind_read: float = 0
    ) -> None:
        super().__init__(fsspec.filesystem("memory"), root, f"memory:/{root}")
        self._before_create = before_create
        self._behind_read = behind_read
        self._readings = 0

    def create(self, path: str, content: bytes) -> bool:
        before, self._before_create = self._before_create, None
        if before:
            before()
        return super().create(path, content)

    def read(self, path: str) -> bytes:
        content = super().read(path)
        self._readings += 1
        if self._readings == 3:
            time.sleep(self._behind_read)
        return content


@pytest.fixture
def root() -> str:
    return f"/{secrets.token_hex(4)}"


def leases(objects: Objects) -> Leases:
    return Leases(objects, "locks", TIMES)


def test_who_was_overtaken_twice_waits_for_the_second(root):
    """The first of the two is done, and the second has tidied away what would have told."""
    let_go = threading.Event()
    ended: list[str] = []

    def second() -> None:
        with leases(Held(root)).hold("stage"):
            holding.set()
            let_go.wait(10)
            ended.append("second")

    holding = threading.Event()
    thread = threading.Thread(target=second)

    def overtake() -> None:
        with leases(Held(root)).hold("stage"):
            pass
        thread.start()
        holding.wait(10)
        threading.Timer(0.3, let_go.set).start()

    with leases(Held(root, before_create=overtake)).hold("stage"):
        assert ended == ["second"]
    thread.join()


def test_who_was_frozen_while_it_waited_takes_nothing_over_from_a_living_owner(root):
    owner = leases(Held(root))
    given_up = threading.Event()

    def wait() -> None:
        with leases(Held(root, behind_read=TIMES.expiry + 0.5)).hold("stage"):
            assert given_up.is_set()

    with owner.hold("stage"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(2 * TIMES.expiry + 0.5)
        owner.check("stage")
        given_up.set()
    waiter.join()
