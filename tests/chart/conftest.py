"""Helm, built before the first test that needs it, and every case of values rendered once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import pytest

from chart import exposed as metrics
from chart.rendering import CASES, CHART, HELM_3, NAMESPACE, RELEASE, Object, render
from chart.server import TEAM, Audited, on_server, values
from controlplane.build import TOOLS, build


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    for fixture, tool in (("rendered", "helm"), ("helm_3", "helm3"), ("plane", "hyperkube")):
        wanted = any(fixture in getattr(item, "fixturenames", ()) for item in session.items)
        if wanted and not session.config.option.collectonly:
            build(TOOLS[tool], say=lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


@pytest.fixture(scope="session")
def rendered() -> Callable[[str], list[Object]]:
    """From a case's name to its manifests."""
    return cache(lambda case: render(CASES[case]))


@pytest.fixture(scope="session")
def helm_3() -> str:
    """The name of the program; it is built by now."""
    return HELM_3


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def manifests(rendered: Callable[[str], list[Object]], case: str) -> list[Object]:
    """Of each case in turn."""
    return rendered(case)


@pytest.fixture(scope="session")
def exposed() -> Mapping[str, set[str]]:
    """Metric -> its labels."""
    return metrics.exposed()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """A control plane with the namespaces and nothing of ours."""
    with Audited(tmp_path_factory.mktemp("plane")) as plane:
        for name in (NAMESPACE, TEAM):
            plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield plane


@pytest.fixture(scope="session")
def installed(plane: Audited) -> Audited:
    """The same with the chart, which a test that takes it off puts back."""
    on_server(plane, "install", RELEASE, CHART, "--values", "-", stdin=values())
    return plane
