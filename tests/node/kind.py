"""Where Docker runs: the same cluster by kind (https://kind.sigs.k8s.io), whose node is a container.

Not tested here: it is written from kind's documentation, and has been run by nobody yet.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from node import images, place
from node.commands import NodeError, attempt, run

Say = Callable[[str], None]


def wanted() -> bool:
    """Whether a Docker daemon answers."""
    return shutil.which("docker") is not None and attempt("docker", "info")


def up(say: Say) -> Path:
    """A cluster, unless it runs; its kubeconfig.

    Raises:
        NodeError: kind is not there, or fails.
    """
    if shutil.which("kind") is None:
        raise NodeError("Docker runs here, so kind must be installed: https://kind.sigs.k8s.io")
    place.CURRENT.mkdir(parents=True, exist_ok=True)
    if place.NAME not in run("kind", "get", "clusters").split():
        say("kind makes a cluster")
        run(
            "kind",
            "create",
            "cluster",
            f"--name={place.NAME}",
            "--wait=300s",
            f"--kubeconfig={place.KUBECONFIG}",
        )
    run("kind", "export", "kubeconfig", f"--name={place.NAME}", f"--kubeconfig={place.KUBECONFIG}")
    return place.KUBECONFIG


def put_images(say: Say) -> None:
    """Build both by Docker, and load them into the node."""
    for name in images.IMAGES:
        tag = images.reference(name).removeprefix("docker.io/library/")
        say(f"building {tag}")
        file = images.REPOSITORY / f"Dockerfile.{name}"
        run("docker", "build", f"--file={file}", f"--tag={tag}", images.REPOSITORY)
        run("kind", "load", "docker-image", tag, f"--name={place.NAME}")


def down() -> None:
    """Delete the cluster."""
    run("kind", "delete", "cluster", f"--name={place.NAME}")
    shutil.rmtree(place.CURRENT, ignore_errors=True)
