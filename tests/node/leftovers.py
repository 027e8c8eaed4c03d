"""What a node leaves on a machine when its processes have ended, however they did, and how it is removed.

It may be called at any time, twice, and after a start that failed half way. Where no cluster of ours has been started, nothing
is touched: the same rules and control groups would be another Kubernetes' own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from node import network, place
from node.commands import attempt

_CGROUPS = Path("/sys/fs/cgroup")
_CNI_RESULTS = Path("/var/lib/cni/results")  # libcni's own, in which containerd keeps what each pod was given
_CONTAINER_LOGS = Path("/var/log/containers")  # the kubelet's own, of links


def remove() -> None:
    """Containers, mounts, network, rules, control groups, settings, files: all but what `place.HOME` keeps."""
    record = place.Record.read()
    if record is None:
        return
    _end_containers()
    _unmount()
    _forget_addresses()
    network.stop()
    network.remove_rules()
    _remove_control_groups()
    network.set_sysctls(record.sysctls)
    if _CONTAINER_LOGS.is_dir():
        for link in _CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(place.POD_LOGS):
                link.unlink()
    shutil.rmtree(place.RUN, ignore_errors=True)
    shutil.rmtree(place.CURRENT, ignore_errors=True)


def _end_containers() -> None:
    """Kill the shims of our containerd, and what still runs in pods' control groups."""
    for _ in range(50):
        pids = {*_shims(), *_in_pods()}
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


def _shims() -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"containerd-shim-runc-v2") and str(place.SOCKET).encode() in argv:
                yield int(process.name)


def _in_pods() -> Iterator[int]:
    for group in _control_groups():
        for tasks in group.rglob("cgroup.procs"):
            with suppress(OSError):
                yield from map(int, tasks.read_text(encoding="ascii").split())


def _control_groups() -> list[Path]:
    """The kubelet's root group: of the one hierarchy, or of each."""
    return [
        group
        for parent in (_CGROUPS, *_CGROUPS.iterdir())
        if (group := parent / "kubepods").is_dir() and not parent.is_symlink()
    ]


def _remove_control_groups() -> None:
    for group in _control_groups():
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _unmount() -> None:
    """The pods' volumes, root file systems and namespaces; the innermost first."""
    namespaces = {str(Path(name).resolve()) for name in _namespaces()}
    ours = (str(place.CURRENT), str(place.CONTAINERD), str(place.RUN), *namespaces)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    for mount in reversed(mounts):
        if any(mount == one or mount.startswith(f"{one}/") for one in ours):
            attempt("umount", "--lazy", mount)
    for name in namespaces:
        Path(name).unlink(missing_ok=True)


def _results() -> list[dict[str, Any]]:
    """What the pods that have not been torn down were given."""
    found = []
    for file in _CNI_RESULTS.glob(f"{place.NAME}-*"):
        with suppress(ValueError):
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return found


def _namespaces() -> set[str]:
    """The network namespaces of these pods."""
    interfaces = [one for result in _results() for one in result["result"].get("interfaces", ())]
    named = {one.get("sandbox", "") for one in interfaces}
    return {name for name in named if name.startswith(("/run/netns/cni-", "/var/run/netns/cni-"))}


def _forget_addresses() -> None:
    for result in _results():
        for file in _CNI_RESULTS.glob(f"*-{result['containerId']}-*"):
            file.unlink()
