"""The processes of a stage that trains on several devices or nodes: who they are, and what their exit codes come to.

PID 1 of a pod is always `python -m xstilts_trainer`: it starts one process a device here, passes SIGTERM on, waits for
them, and ends with the code that says most: 64 if any rank did, else 42, else 1.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from xstilts.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_INVALID, Problem, SpecError, UserError
from xstilts_trainer.result import failure, write_result

PORT = 29_500  # of rank 0, between pods; on one node any free one is taken
RANK = "XSTILTS_RANK"
POLL_SECONDS = 0.2
LAST_WORDS_SECONDS = 60.0  # what the others have, once one has failed: they wait for it and can save nothing


@dataclass(frozen=True)
class Ranks:
    """The processes of one stage: `per_node` on each of `nodes`, of which this is number `node`."""

    nodes: int = 1
    node: int = 0
    per_node: int = 1
    master: str = "127.0.0.1"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ranks:
        """What XSTILTS_NODES, XSTILTS_NODE_RANK, XSTILTS_RANKS_PER_NODE and XSTILTS_MASTER (a host) say.

        Raises:
            SpecError: a number that is none, or a node that is not among them.
        """
        nodes = _number(environment, "XSTILTS_NODES", 1)
        node = _number(environment, "XSTILTS_NODE_RANK", 0)
        if node >= nodes:
            raise SpecError(Problem("XSTILTS_NODE_RANK", f"must be below XSTILTS_NODES, {nodes}, was {node}"))
        per_node = _number(environment, "XSTILTS_RANKS_PER_NODE", 1)
        return cls(nodes, node, per_node, environment.get("XSTILTS_MASTER", cls.master))

    @property
    def size(self) -> int:
        """All processes, of all nodes."""
        return self.nodes * self.per_node

    def environment(self, local: int, port: int) -> dict[str, str]:
        """What the process number `local` of this node is told."""
        return {
            RANK: str(self.node * self.per_node + local),
            "XSTILTS_LOCAL_RANK": str(local),
            "XSTILTS_WORLD_SIZE": str(self.size),
            "XSTILTS_RENDEZVOUS": f"tcp://{self.master}:{port}",
        }


def run_ranks(
    ranks: Ranks, arguments: Sequence[str], environment: Mapping[str, str], result: Path, key: str
) -> int:
    """Run this node's processes to their end; the result is that of the one whose exit code is returned.

    One that a signal has ended could say nothing: that is said for it, of the stage of this `key`.
    """
    port = PORT if ranks.nodes > 1 else _free_port()
    with tempfile.TemporaryDirectory(prefix="xstilts-ranks-") as temporary:
        results = [Path(temporary, str(local)) for local in range(ranks.per_node)]
        with _Processes() as processes:
            for local, file in enumerate(results):
                told = {**environment, **ranks.environment(local, port), "XSTILTS_RESULT": str(file)}
                processes.start([sys.executable, "-m", "xstilts_trainer", *arguments], told)
            codes, first = processes.wait()
        code = combined(codes)
        said = results[first if code == EXIT_FAILED else codes.index(code) if code in codes else 0]
        if said.is_file():
            result.write_bytes(said.read_bytes())
        elif code == EXIT_FAILED and codes[first] < 0:
            who = f"process {first + 1} of {ranks.per_node} of node {ranks.node}"
            write_result(result, failure(key, ended_by(-codes[first], who)))
    return code


def ended_by(number: int, who: str) -> UserError:
    """What is said of a process that a signal has ended."""
    name = signal.Signals(number).name
    why = "; a pod's memory limit does so: more of resources.memory" if number == signal.SIGKILL else ""
    return UserError(Problem(who, f"must end by itself, was ended by {name}{why}"))


def combined(codes: Iterable[int]) -> int:
    """The exit code of a stage whose processes have ended with these: 0 only if all of them are done.

    One that SIGTERM has ended, before it could handle it, was interrupted.
    """
    ended = {EXIT_INTERRUPTED if code == -signal.SIGTERM else code for code in codes}
    for code in (EXIT_INVALID, EXIT_INTERRUPTED):
        if code in ended:
            return code
    return EXIT_FAILED if ended - {0} else 0


class _Processes:
    """Processes that are passed every signal to end, from before the first of them is started: none outlives this one."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._asked: int | None = None

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._pass_on) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start one more."""
        self._started.append(subprocess.Popen(command, env=environment))
        if self._asked is not None:
            self._started[-1].send_signal(self._asked)

    def wait(self) -> tuple[list[int], int]:
        """The exit codes, and the index of the process that failed first: the others fail for want of it."""
        deadline: float | None = None
        first: int | None = None
        while any(process.poll() is None for process in self._started):
            first = _first_failed(self._started) if first is None else first
            if deadline is None and first is not None:
                deadline = time.monotonic() + LAST_WORDS_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                for process in self._started:
                    process.kill()
            time.sleep(POLL_SECONDS)
        first = _first_failed(self._started) if first is None else first
        return [process.returncode for process in self._started], first or 0

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._asked = number
        for process in self._started:
            process.send_signal(number)


def _first_failed(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """One that has failed; of several, one that was killed, since nothing else can have made it."""
    failed = {
        index: process.returncode
        for index, process in enumerate(processes)
        if process.returncode not in {None, 0, EXIT_INTERRUPTED, -signal.SIGTERM}
    }
    return min(failed, key=lambda index: (failed[index] > 0, index)) if failed else None


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < min(default, 1):
        raise SpecError(Problem(name, f"must be a whole number of at least {min(default, 1)}, was {text!r}"))
    return int(text)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
