"""The node's own containerd, beside any other of the machine: its folders, socket and network configuration are ours."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from controlplane.build import TOOLS, build
from controlplane.daemon import Daemon
from node import place
from node.commands import NodeError, attempt, run
from node.oci import write_program_image

PAUSE = "localhost/xstilts-node/pause:1"
COREDNS = "localhost/xstilts-node/coredns:1"

# restrict_oom_score_adj: a machine that is itself confined may lack CAP_SYS_RESOURCE, and then no sandbox would start.
_CONFIGURATION = """\
version = 2
root = "{root}"
state = "{run}/containerd"

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def daemon() -> Daemon:
    """Configured, and not started."""
    place.CONTAINERD.mkdir(parents=True, exist_ok=True)
    place.RUN.mkdir(mode=0o700, exist_ok=True)
    file = place.CURRENT / "containerd.toml"
    text = _CONFIGURATION.format(
        root=place.CONTAINERD, run=place.RUN, socket=place.SOCKET, pause=PAUSE, cni=place.CNI
    )
    file.write_text(text, encoding="utf-8")
    program = shutil.which("containerd")
    assert program, "machine.require has seen to it"
    return Daemon([program, "--config", file], log=place.LOGS / "containerd.log")


def wait_until_ready(containerd: Daemon, *, within_s: float = 60) -> None:
    """Return when it answers.

    Raises:
        DaemonError: it ended, or did not answer in time.
    """
    end = time.monotonic() + within_s
    while not attempt(*_ctr("version")):
        if not containerd.running or time.monotonic() > end:
            raise containerd.failure("does not answer")
        time.sleep(0.2)


def import_own_images() -> None:
    """The pause of pods' sandboxes, and CoreDNS."""
    _import_program(PAUSE, "pause")
    _import_program(COREDNS, "coredns", "-conf", "/etc/coredns/Corefile")


def _import_program(image: str, tool: str, *arguments: str) -> None:
    archive = place.CURRENT / f"{tool}.tar"
    write_program_image(archive, image, build(TOOLS[tool]) / "bin" / tool, *arguments)
    import_archive(archive)
    archive.unlink()


def import_archive(archive: Path) -> None:
    """Take in an OCI archive's images."""
    run(*import_argv(archive))


def import_argv(archive: Path | str) -> list[str | Path]:
    """The command that takes in an OCI archive (`-`: from its input); layers that the node has may be missing in it."""
    return _ctr("images", "import", archive)


def images() -> set[str]:
    """The names of the images on the node."""
    return set(run(*_ctr("images", "list", "--quiet")).split())


def tag(image: str, name: str) -> None:
    """Give an image another name, whatever has had that name."""
    run(*_ctr("images", "tag", "--force", image, name))


def untag(name: str) -> None:
    """Take a name away; what no name leads to is removed in time."""
    run(*_ctr("images", "remove", name))


def target(image: str) -> str:
    """The digest of the manifest that a name leads to.

    Raises:
        NodeError: there is no such image.
    """
    for line in run(*_ctr("images", "list", f"name=={image}")).splitlines()[1:]:
        return line.split()[2]
    raise NodeError(f"the node must have the image {image}")


def content(digest: str) -> str:
    """A blob that is text."""
    return run(*_ctr("content", "get", digest))


def running_tasks() -> set[str]:
    """The containers that run, sandboxes too; none where containerd does not answer."""
    try:
        return set(run(*_ctr("tasks", "list", "--quiet")).split())
    except NodeError:
        return set()


def _ctr(*arguments: str | Path) -> list[str | Path]:
    return ["ctr", "--address", place.SOCKET, "--namespace", "k8s.io", *arguments]
