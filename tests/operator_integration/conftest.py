"""A real API server for every test here: built once per machine, started once per run.

XSTILTS_TEST_KUBECONFIG names a cluster to use instead: an API server with a controller manager that may be written to,
and without a scheduler, because the tests play the pods.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.api import Api, connect
from controlplane.build import FOR_TESTS, TOOLS, build
from controlplane.cluster import Cluster
from controlplane.plane import ControlPlane

EXISTING = "XSTILTS_TEST_KUBECONFIG"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    wanted = any("cluster" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly and not os.environ.get(EXISTING):
        for name in FOR_TESTS:
            build(TOOLS[name], say=lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a loaded machine time: whichever test is first waits for the servers' start too (10 s on a free one)."""
    if not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as kopf does."""
    return "asyncio"


@pytest.fixture(scope="session")
def cluster(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with the project's CRDs."""
    crds = sorted((repository / "crds").glob("*.yaml"))
    folder = tmp_path_factory.mktemp("cluster")
    if existing := os.environ.get(EXISTING):
        given = Cluster(Path(existing).resolve(), folder)
        given.apply_crds(*crds)
        yield given
    else:
        with ControlPlane(folder) as plane:
            plane.apply_crds(*crds)
            yield plane


@pytest.fixture(scope="session")
def control_plane(cluster: Cluster) -> ControlPlane:
    """The cluster, where its servers are ours to stop and start."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip(f"the servers of an existing cluster ({EXISTING}) are not for a test to stop")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; its deletion is not waited for."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    """An administrator's client, in the test's own event loop."""
    async with connect(cluster.kubeconfig) as client:
        yield client
