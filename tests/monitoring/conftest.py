"""Prometheus, built before the first test that needs it, and the scenario, played once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.rendering import CHART
from chart.test_alerts import RULES
from controlplane.build import TOOLS, build
from monitoring import prometheus, scenario
from monitoring.scenario import Watched


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test, whose time limit is no measure for a compiler."""
    wanted = any("watched" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        for make in (prometheus.program, lambda say: build(TOOLS["hyperkube"], say=say)):
            make(lambda line: print(line, flush=True))  # noqa: T201 - pytest shows it


@pytest.fixture(scope="session")
def watched(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """What a Prometheus has seen of an operator."""
    folder = tmp_path_factory.mktemp("monitoring")
    crds = sorted((repository / "crds").glob("*.yaml"))
    expressions = {rule["alert"]: rule["expr"] for rule in RULES}
    with scenario.watched(folder, crds, CHART / "files" / "alerts.yaml", expressions) as seen:
        yield seen
