"""The commands behind `make cluster`, `make cluster-images`, `make demo-cluster` and `make cluster-down`.

python -m node can      whether one can be made here; else the reason, and exit status 1
python -m node up       a cluster, unless one runs; prints its kubeconfig
python -m node images   build what has changed of the two images, and put them on the node
python -m node demo     run examples/quickstart.yaml on it, to a table
python -m node down     stop it, and leave the machine as it was
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from chart.rendering import HelmError
from controlplane.build import TOOLS, BuildError, build
from controlplane.daemon import DaemonError
from node import demo, images, kind, leftovers, machine, place
from node.commands import NodeError
from node.single import Single, cluster

TESTS = Path(__file__).resolve().parents[1]
NEEDED = ("hyperkube", "coredns", "pause")
UP_WITHIN_S, DOWN_WITHIN_S = 900, 120


def say(line: str) -> None:
    """Tell the person at the terminal, at once."""
    print(line, flush=True)  # noqa: T201 - a command


def can() -> None:
    """Whether there can be a cluster."""
    if not kind.wanted():
        machine.able()


def up() -> None:
    """A cluster, unless one runs."""
    if kind.wanted():
        say(f"KUBECONFIG={kind.up(say)}")
        return
    record = place.Record.read()
    if record and record.alive:
        cluster()
    else:
        begun = time.monotonic()
        machine.require(machine.NODE, say)
        leftovers.remove()
        machine.check()
        for name in NEEDED:
            build(TOOLS[name], say=say)
        _serve_detached()
        say(f"the cluster runs after {time.monotonic() - begun:.0f} s; `make cluster-down` ends it")
    say(f"KUBECONFIG={place.KUBECONFIG}")


def _serve_detached() -> None:
    """Start `serve` in a session of its own, and return when the cluster can be used."""
    place.HOME.mkdir(parents=True, exist_ok=True)
    with place.LOG.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "node", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
    end = time.monotonic() + UP_WITHIN_S
    while not place.KUBECONFIG.exists():
        if server.poll() is not None or time.monotonic() > end:
            server.terminate()
            raise NodeError(f"the cluster did not start:\n{place.LOG.read_text(encoding='utf-8')}")
        time.sleep(0.2)


def serve() -> None:
    """Be the cluster, until SIGTERM."""
    single = Single(say)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        single.start()
        single.watch()
    finally:
        single.stop()


def down() -> None:
    """Stop it, and remove what an earlier one has left."""
    if kind.wanted():
        kind.down()
        return
    record = place.Record.read()
    if record and record.alive:
        os.kill(record.pid, signal.SIGTERM)
        end = time.monotonic() + DOWN_WITHIN_S
        while record.alive and time.monotonic() < end:
            time.sleep(0.2)
        if record.alive:
            os.kill(record.pid, signal.SIGKILL)
    leftovers.remove()
    say(f"the cluster is gone; its images stay in {place.HOME}")


def put_images() -> None:
    """Build what has changed, and put it on the node."""
    if kind.wanted():
        kind.put_images(say)
        return
    cluster()
    machine.require(machine.IMAGES, say)
    for name in images.IMAGES:
        images.put(name, say)


def run_demo() -> None:
    """The quickstart on the cluster."""
    build(TOOLS["helm"], say=say)
    demo.run(cluster(), say)


COMMANDS = {"can": can, "up": up, "serve": serve, "images": put_images, "demo": run_demo, "down": down}


def main() -> int:
    """Run the command that is named."""
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        say(__doc__ or "")
        return 2
    try:
        COMMANDS[sys.argv[1]]()
    except (
        NodeError,
        BuildError,
        DaemonError,
        HelmError,
        RuntimeError,
        subprocess.CalledProcessError,
    ) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
