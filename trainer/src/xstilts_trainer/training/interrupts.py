"""SIGTERM and SIGINT inside work that must first come to a point where it can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Whether the process was asked to end (`asked`)."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the end; a signal handler."""
        self.asked = True

    def check(self) -> None:
        """Called where work can be saved.

        Raises:
            KeyboardInterrupt: the end was asked for.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """SIGTERM and SIGINT are only noted inside, and the handlers of before are back afterwards."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals reach the main thread alone
        return
    before = {number: signal.signal(number, interrupts.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
