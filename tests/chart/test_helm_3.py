"""Helm 3 makes of the chart what Helm 4 makes of it, and one goes on with what the other has installed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from chart.rendering import CASES, CHART, NAME, NAMESPACE, RELEASE, HelmError, Object, helm, render
from chart.server import TEAM, Audited, on_server, values

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("rendered")]


def test_it_renders_the_same(helm_3: str, rendered: Callable[[str], list[Object]], case: str) -> None:
    # without a cluster each takes the Kubernetes that it was made with, and one that was built here does not know it
    assert render(CASES[case], "--kube-version=1.34", program=helm_3) == rendered(case)


def test_lint_has_nothing_to_say(helm_3: str, case: str) -> None:
    said = helm("lint", "--strict", CHART, "--values", "-", stdin=json.dumps(CASES[case]), program=helm_3)
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_a_wrong_value_is_named(helm_3: str) -> None:
    with pytest.raises(HelmError, match="parallelism"):
        render({"parallelism": "many"}, program=helm_3)


@pytest.mark.timeout(300)
def test_each_goes_on_with_what_the_other_has_installed(helm_3: str, installed: Audited) -> None:
    def parallelism() -> int:
        told = installed.kubectl("get", "configmap", NAME, "-n", NAMESPACE, "-o", "json")
        (line,) = (
            line
            for line in json.loads(told)["data"]["settings.yaml"].splitlines()
            if line.startswith("parallelism:")
        )
        return int(line.partition(":")[2])

    def upgrade(count: int, **by: str) -> None:
        on_server(
            installed, "upgrade", RELEASE, CHART, "--values", "-", stdin=values(parallelism=count), **by
        )

    upgrade(7, program=helm_3)  # Helm 4 has installed it
    assert parallelism() == 7
    on_server(installed, "uninstall", RELEASE, program=helm_3)
    assert (
        installed.kubectl(
            "get", "deployments,roles", "-A", "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name"
        )
        == ""
    )
    on_server(installed, "install", RELEASE, CHART, "--values", "-", stdin=values(), program=helm_3)
    upgrade(8, program=helm_3)
    assert parallelism() == 8
    upgrade(9)
    assert parallelism() == 9
    assert installed.kubectl("get", "roles", "-n", TEAM, "-o", "name")
