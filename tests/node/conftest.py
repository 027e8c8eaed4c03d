"""The cluster that `make cluster` has started, with the images of `make cluster-images`; the tests start none."""

from __future__ import annotations

import pytest

from controlplane.build import TOOLS, build
from controlplane.cluster import Cluster
from monitoring import prometheus
from node import containerd, images, single


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if wanted and not session.config.option.collectonly:
        for make in (lambda say: build(TOOLS["helm"], say=say), prometheus.program):
            make(lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def node() -> Cluster:
    """The cluster, with both images of the working tree."""
    cluster = single.cluster()
    wanted = {
        f"{images.reference(name).rpartition(':')[0]}:{images.content_key(name)}" for name in images.IMAGES
    }
    assert wanted <= containerd.images(), "the images are not those of the working tree: make cluster-images"
    return cluster
