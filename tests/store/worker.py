"""Processes that work on a store: `python worker.py ACTION ROOT REPOSITORY …`, for tests of what several do at once.

A worker forks the others, so that what is imported is imported once. Each opens the store for itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import s3fs  # noqa: F401 - loaded before the forks, and not while effects are counted

from xstilts.stage import Family, HubSource, Kind, PrepareModelSpec, Stage
from xstilts.store.artifacts import Store
from xstilts.store.location import backend_for
from xstilts.store.locks import LeaseTimes
from xstilts.store.objects import Objects

PATIENT = LeaseTimes(
    heartbeat=1, expiry=30, poll=0.05
)  # where no owner dies, a busy machine must not look like it
QUICK = LeaseTimes(heartbeat=0.1, expiry=2, poll=0.05)
HASTY = LeaseTimes(heartbeat=0.1, expiry=0.5, poll=0.05)  # where every owner is dead
FILES = {f"part-{number}/file": bytes([number]) * 1000 for number in range(3)}
WEIGHTS = {f"part-{number}/model.safetensors": bytes([number]) * 1000 for number in range(3)}


def open_store(root: str, times: LeaseTimes = PATIENT) -> Store:
    return Store(backend_for(root, "default", times))


def make_stage(repository: str) -> Stage:
    source = HubSource(repository=repository, revision="0" * 40)
    return Stage.of(Kind.PREPARE, PrepareModelSpec(source=source, family=Family.XLMR))


def save(store: Store, stage: Stage, flavour: bytes = b"", files: dict[str, bytes] = FILES) -> None:
    with store.write(stage, {}) as draft:
        for relative, content in files.items():
            path = draft.path / relative
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content + flavour)


def fork(work: Callable[[], None]) -> int:
    """Do something in a child; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def finish(*children: int) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        sys.exit(f"children ended with {codes}")


def race(root: str, repository: str, log: str) -> None:
    """Five processes want one stage as executors do it; who computes notes it in `log`."""

    def compute() -> None:
        store, stage = open_store(root), make_stage(repository)
        with store.lock(stage.key):
            if store.lookup(stage.key) is None:
                with Path(log).open("a") as stream:
                    stream.write(f"{os.getpid()}\n")
                time.sleep(0.2)
                save(store, stage)

    finish(*(fork(compute) for _ in range(5)))


def unlocked(root: str, repository: str) -> None:
    """Five processes write one stage and ask nobody: with three kinds of outputs."""
    stage = make_stage(repository)
    finish(
        *(
            fork(lambda mark=mark: save(open_store(root), stage, mark))
            for mark in (b"a", b"a", b"b", b"b", b"c")
        )
    )


def killed(root: str, repository: str, log: str) -> None:
    """The owner of a lock is killed while another waits for it: the times when, and when the waiter had it."""
    held, taken = Path(log + ".held"), Path(log)

    def hold() -> None:
        with open_store(root, QUICK).lock(make_stage(repository).key):
            held.touch()
            signal.pause()

    def wait() -> None:
        with open_store(root, QUICK).lock(make_stage(repository).key):
            taken.write_text(str(time.time()))

    owner = fork(hold)
    while not held.exists():
        time.sleep(0.02)
    waiter = fork(wait)
    time.sleep(2 * QUICK.expiry)  # the owner is alive all the time
    kill_time = time.time()
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    finish(waiter)
    taken.write_text(json.dumps({"killed": kill_time, "taken": float(taken.read_text())}))


def read(root: str, repository: str) -> None:
    """A reader is killed when it has downloaded its first file."""
    stage = make_stage(repository)
    finish(fork(lambda: save(open_store(root), stage)))
    download = Objects.download

    def fetch() -> None:
        Objects.download = lambda *asked: (download(*asked), os.kill(os.getpid(), signal.SIGKILL))
        open_store(root).fetch(stage.key)

    assert os.waitpid(fork(fetch), 0)[1] == signal.SIGKILL


def interrupted(root: str, repository: str, log: str) -> None:
    """For each effect of writing an artifact, a child that is killed just before it; then what is seen, and a repair.

    An audit hook sees the effects: files opened for writing, folders made, renamed and removed, or requests sent.
    """
    effects, step = _effects(root)
    survived = False
    point = 0
    while not survived:
        stage = make_stage(f"{repository}-{point}")
        survived = _interrupt(root, effects, point, lambda store: save(store, stage))  # noqa: B023
        finish(fork(lambda: _repair(root, stage, log)))  # noqa: B023 - the child is done before the next round
        point += step


def dropped(root: str, repository: str, log: str) -> None:
    """For each effect of dropping weights and of taking them back, a child that is killed just before it; what is seen then."""
    effects, step = _effects(root)
    survived = False
    point = 0
    while not survived:
        stage = make_stage(f"{repository}-{point}")
        finish(fork(lambda: save(open_store(root, HASTY), stage, files=FILES | WEIGHTS)))  # noqa: B023
        survived = _interrupt(root, effects, point, lambda store: store.drop(stage.key))  # noqa: B023
        finish(fork(lambda: _drop(root, stage, log)))  # noqa: B023
        back = lambda store: save(store, stage, files=FILES | WEIGHTS)  # noqa: B023, E731
        survived = _interrupt(root, effects, point, back) and survived
        finish(fork(lambda: _take_back(root, stage, log)))  # noqa: B023
        point += step


def _effects(root: str) -> tuple[set[str], int]:
    """What is counted, and how much further each child gets: a store's client is slow to make, and every child makes its own."""
    if "://" in root:
        return {"socket.connect"}, 2
    return {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}, 1


def _interrupt(root: str, effects: set[str], point: int, act: Callable[[Store], object]) -> bool:
    left = point

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in effects and not (event == "open" and arguments[1] in {"r", "rb", None}):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    def work() -> None:
        store = open_store(root, HASTY)
        sys.addaudithook(hook)
        act(store)

    return os.waitpid(fork(work), 0)[1] == 0


def _drop(root: str, stage: Stage, log: str) -> None:
    store = open_store(root, HASTY)
    seen = store.record(stage.key)
    whole = seen is not None and seen.whole
    if whole:
        store.fetch(stage.key)
    store.drop(stage.key)
    after = store.record(stage.key)
    gone = after is not None and after.dropped == WEIGHTS.keys() and not after.left
    _note(log, {"act": "drop", "there": seen is not None, "whole": whole, "well": gone})


def _take_back(root: str, stage: Stage, log: str) -> None:
    store = open_store(root, HASTY)
    seen = store.record(stage.key)
    whole = seen is not None and seen.whole
    save(store, stage, files=FILES | WEIGHTS)
    folder = store.fetch(stage.key)
    well = all((folder / name).read_bytes() == content for name, content in (FILES | WEIGHTS).items())
    _note(log, {"act": "take back", "there": seen is not None, "whole": whole, "well": well})


def _note(log: str, line: dict[str, object]) -> None:
    with Path(log).open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def _repair(root: str, stage: Stage, log: str) -> None:
    store = open_store(root, HASTY)
    seen = store.lookup(stage.key) is not None
    if seen:
        store.fetch(stage.key)
    save(store, stage)
    folder = store.fetch(stage.key)
    whole = {name: (folder / name).read_bytes() for name in FILES} == FILES
    _note(log, {"seen": seen, "whole": whole})


if __name__ == "__main__":
    ACTIONS = {
        "race": race,
        "unlocked": unlocked,
        "killed": killed,
        "read": read,
        "interrupted": interrupted,
        "dropped": dropped,
    }
    ACTIONS[sys.argv[1]](*sys.argv[2:])
