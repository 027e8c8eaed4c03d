"""A base image for the Dockerfiles where no registry is in reach: this machine's Debian, with Python, by debootstrap."""

from __future__ import annotations

import platform
import re
import tempfile
from pathlib import Path

from node import place
from node.buildah import buildah
from node.commands import NodeError, run

IMAGE = "localhost/xstilts-base:1"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_DOCKERFILE = """\
FROM scratch
ADD base.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def make_base() -> None:
    """Make it unless it is there.

    Raises:
        NodeError: it cannot be made; says why.
    """
    if IMAGE in buildah("images", "--format={{.Name}}:{{.Tag}}").split():
        return
    place.HOME.mkdir(parents=True, exist_ok=True)
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if not codename:
        raise NodeError("/etc/os-release must have a VERSION_CODENAME, of which a base image is made")
    with tempfile.TemporaryDirectory(prefix="base-", dir=place.HOME) as temporary:
        root, context = Path(temporary) / "root", Path(temporary) / "context"
        context.mkdir()
        run("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", codename, root, _mirror())
        unneeded = ("./var/cache/apt", "./var/lib/apt/lists/*", "./debootstrap")
        run(
            "tar",
            "--one-file-system",
            f"--directory={root}",
            *(f"--exclude={path}" for path in unneeded),
            f"--file={context / 'base.tar'}",
            "--create",
            ".",
        )
        (context / "Dockerfile").write_text(_DOCKERFILE, encoding="ascii")
        buildah("build", "--isolation=chroot", f"--tag={IMAGE}", context)


def _mirror() -> str:
    """Where this machine has its own packages from."""
    targets = run("apt-get", "indextargets", "--format=$(SITE) $(ORIGIN) $(LABEL)")
    found = re.search(r"^(\S+) (?:Debian Debian|Ubuntu Ubuntu)$", targets, re.MULTILINE)
    if not found:
        raise NodeError(
            "apt's lists must name a mirror of Debian, which a base image is made of: apt-get update"
        )
    return found[1]
