"""buildah with a storage of its own, below `place.HOME`."""

from __future__ import annotations

from pathlib import Path

from node import place
from node.commands import run


def buildah(*arguments: str | Path) -> str:
    """What `buildah ARGUMENTS` writes.

    Raises:
        NodeError: it failed; says the last lines of what it wrote.
    """
    overlay = "\toverlay\n" in Path("/proc/filesystems").read_text(encoding="ascii")
    storage = [
        f"--root={place.BUILDAH}",
        f"--runroot={place.HOME / 'buildah-run'}",
        # vfs copies everything below for each layer: with 6 GB of them, the disk is soon full
        f"--storage-driver={'overlay' if overlay else 'vfs'}",
    ]
    return run("buildah", *storage, *arguments)
