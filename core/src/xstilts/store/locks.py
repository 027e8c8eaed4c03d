"""One process does a stage, the others wait: a file lock in a folder, a lease in an object store.

A file lock is the kernel's, and ends with its process, however that dies; it holds between machines that mount the
folder where the file system passes `flock` on (local disks, NFSv4, CephFS).

An object store has no locks. A lease is an object `<name>/<generation>` that only one process can have created
(create-only PUT), and that its owner rewrites every few seconds. A waiter that has seen no new heartbeat for the expiry
time, on its own clock, creates the next generation and is the owner. So a dead owner delays others by the expiry time,
and an owner that was only frozen finds, before it writes a manifest, that a later generation is there, and stops.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from xstilts.errors import Problem, StoreError, UnavailableError
from xstilts.store.objects import Objects


@contextmanager
def hold_file(path: Path) -> Iterator[None]:
    """Hold the lock that a file stands for; wait for it first.

    Raises:
        StoreError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)  # a soft lock would outlive its process
    try:
        lock.acquire()
    except OSError as error:
        raise StoreError(
            Problem("store", f"must be on a file system that can lock {path}: {error.strerror}")
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock that a file stands for."""
    try:
        with FileLock(path, blocking=False, fallback_to_soft=False):
            return False
    except Timeout:
        return True


@dataclass(frozen=True)
class LeaseTimes:
    """Seconds: between heartbeats, without one until a lease has expired, between two looks of a waiter."""

    heartbeat: float = 15
    expiry: float = 60
    poll: float = 2


_RELEASED = b'{"owner": null}'


class Leases:
    """The leases of a process in one namespace of an object store."""

    def __init__(self, objects: Objects, folder: str, times: LeaseTimes) -> None:
        self._objects = objects
        self._folder = folder
        self._times = times
        self._held: dict[str, int] = {}  # name -> generation
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Hold a lease, with a heartbeat; wait for it first."""
        generation = self._acquire(name)
        self._held[name] = generation
        stop = threading.Event()
        heart = threading.Thread(target=self._beat, args=(name, generation, stop), daemon=True)
        heart.start()
        try:
            yield
        finally:
            stop.set()
            heart.join()
            del self._held[name]
            with suppress(UnavailableError):  # unreleased it expires
                self._objects.write(self._path(name, generation), _RELEASED)

    @contextmanager
    def ensure(self, name: str) -> Iterator[None]:
        """Hold a lease for this block, where the process does not hold it already."""
        if name in self._held:
            yield
        else:
            with self.hold(name):
                yield

    def check(self, name: str) -> None:
        """Make sure that a lease this process holds is still its own.

        Raises:
            UnavailableError: another process has taken it over.
        """
        generation = self._held.get(name)
        if generation is not None and self._newest(name) != generation:
            raise UnavailableError(
                f"the lease of {name} must be renewed every {self._times.expiry:g} seconds, this process was too late and "
                "another one has taken over; run again"
            )

    def _acquire(self, name: str) -> int:
        seen: tuple[int, bytes] | None = None
        since = time.monotonic()
        while True:
            # the time before it looks: were this process frozen behind, it would judge by an old heartbeat
            looked = time.monotonic()
            generation = self._newest(name)
            now = (generation, self._content(name, generation))
            if now != seen:
                seen, since = now, time.monotonic()
            expired = looked - since > self._times.expiry
            if generation and now[1] != _RELEASED and not expired:
                time.sleep(self._times.poll)
            elif self._objects.create(self._path(name, generation + 1), self._heartbeat(0)):
                if self._newest(name) != generation + 1:
                    continue  # others were faster, more than one, and the last has tidied this generation away
                for old in self._generations(name):
                    if old <= generation:
                        self._objects.delete(self._path(name, old))
                return generation + 1

    def _beat(self, name: str, generation: int, stop: threading.Event) -> None:
        count = 0
        while not stop.wait(self._times.heartbeat):
            count += 1
            try:
                if self._newest(name) != generation:
                    return  # `check` will say so
                self._objects.write(self._path(name, generation), self._heartbeat(count))
            except UnavailableError:
                continue  # the next one may come through; else the lease expires, and `check` will say so

    def _heartbeat(self, count: int) -> bytes:
        return json.dumps({"owner": self._owner, "heartbeat": count}).encode()

    def _content(self, name: str, generation: int) -> bytes:
        try:
            return self._objects.read(self._path(name, generation)) if generation else b""
        except FileNotFoundError:  # the next owner has tidied it away
            return b""

    def _newest(self, name: str) -> int:
        return max(self._generations(name), default=0)

    def _generations(self, name: str) -> list[int]:
        return [int(generation) for generation in self._objects.names(f"{self._folder}/{name}")]

    def _path(self, name: str, generation: int) -> str:
        return f"{self._folder}/{name}/{generation:08d}"
