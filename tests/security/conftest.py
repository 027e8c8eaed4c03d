"""A real API server for the tests here, with a namespace in which the restricted standard is in force."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.api import Api, connect
from controlplane.build import TOOLS, build
from controlplane.plane import ControlPlane

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    wanted = any("restricted_plane" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        build(TOOLS["hyperkube"], say=lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def restricted_plane(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with the project's CRDs."""
    with ControlPlane(tmp_path_factory.mktemp("plane")) as plane:
        plane.apply_crds(*sorted((repository / "crds").glob("*.yaml")))
        yield plane


@pytest.fixture
def restricted(restricted_plane: ControlPlane) -> str:
    """A namespace of the test's own that takes no pod but a restricted one."""
    name = f"test-{secrets.token_hex(4)}"
    metadata = {"name": name, "labels": RESTRICTED}
    restricted_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return name


@pytest.fixture
async def api(restricted_plane: ControlPlane) -> AsyncIterator[Api]:
    """An administrator's client, in the test's own event loop."""
    async with connect(restricted_plane.kubeconfig) as client:
        yield client
