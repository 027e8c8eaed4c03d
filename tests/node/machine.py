"""Whether this machine can carry the node, and Debian's packages that it needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from node import place
from node.commands import NodeError, attempt, run

# program -> Debian's package of it
NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
}
IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
ROOM = 25_000_000_000  # bytes of disk: both images, built and unpacked


def able(cgroups: Path = Path("/sys/fs/cgroup")) -> None:
    """That a node and its images can be made here; nothing is installed or changed.

    Raises:
        NodeError: not so; says what is missing.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NodeError("a node is made of Debian's packages, by root")
    if not attempt("unshare", "--mount", "--net", "true"):
        raise NodeError("a node makes namespaces, and root may not do that here")
    group = (cgroups / "cpu" if (cgroups / "cpu").is_dir() else cgroups) / "xstilts-probe"
    try:
        group.mkdir()
        group.rmdir()
    except OSError as error:
        raise NodeError(f"a node makes control groups, and root may not do that here: {error}") from None
    folder = next(one for one in (place.HOME, *place.HOME.parents) if one.is_dir())
    free = shutil.disk_usage(folder).free
    if free < ROOM and not place.BUILDAH.is_dir():
        raise NodeError(f"the images need {ROOM / 1e9:.0f} GB below {folder}, and {free / 1e9:.0f} are free")


def require(programs: dict[str, str], say: Callable[[str], None]) -> None:
    """Have these programs, from Debian's packages where they are missing and we are root.

    Raises:
        NodeError: we are not, or there is no apt; says what is missing.
    """
    missing = sorted({package for program, package in programs.items() if shutil.which(program) is None})
    if os.geteuid() != 0:
        raise NodeError(
            "make cluster must be run as root, because it starts containerd and a kubelet, "
            f"or where Docker runs; missing packages: {', '.join(missing) or 'none'}"
        )
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NodeError(f"missing, and no apt-get to install them with: {', '.join(missing)}")
    say(f"installing {', '.join(missing)}")
    _install(missing)


def _install(packages: Sequence[str]) -> None:
    # A package's own service would start a second containerd, which has nothing to do with the node.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    try:
        run(*argv, environment=quiet)
    except NodeError:  # with lists that are old or were never fetched
        run("apt-get", "update", "-qq", environment=quiet)
        run(*argv, environment=quiet)


def check() -> None:
    """That the kernel and what runs here leave room for a node.

    Raises:
        NodeError: they do not; says why.
    """
    for folder, what in (
        ("/proc/sys/net/bridge", "bridge netfilter (modprobe br_netfilter)"),
        ("/sys/fs/cgroup", "control groups"),
    ):
        if not Path(folder).is_dir() and not attempt("modprobe", "br_netfilter"):
            raise NodeError(f"the kernel must have {what}")
    if ":KUBE-SERVICES" in run("iptables-save"):
        raise NodeError(
            "another Kubernetes has its rules in this machine's iptables: a second kube-proxy would take them over"
        )
