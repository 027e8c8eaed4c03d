"""Several releases on one cluster: the custom resources belong to one of them, and are handed on where they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from chart.rendering import CHART, NAMESPACE, RELEASE, HelmError
from chart.server import Audited, on_server, values

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.usefixtures("rendered")]

REFUSED = "exists and cannot be imported into the current release"


def owners(plane: Audited) -> set[str]:
    """The releases that the custom resources belong to."""
    found = json.loads(plane.kubectl("get", "customresourcedefinitions", "-o", "json"))["items"]
    return {one["metadata"]["annotations"]["meta.helm.sh/release-name"] for one in found}


@pytest.fixture
def second(installed: Audited) -> Iterator[Audited]:
    """Beside the chart's first release, which is there again at the end."""
    yield installed
    on_server(installed, "uninstall", "second", "--ignore-not-found")
    options = ("upgrade", "--install", RELEASE, CHART, "--take-ownership", "--values", "-")
    on_server(installed, *options, stdin=values())


def test_a_second_release_brings_no_custom_resources(second: Audited) -> None:
    install = ("install", "second", CHART, "--values", "-")
    with pytest.raises(HelmError, match=REFUSED):
        on_server(second, *install, stdin="{}")
    on_server(second, *install, "--set", "crds.enabled=false", stdin="{}")
    assert owners(second) == {RELEASE}
    leases = {
        name
        for role in json.loads(second.kubectl("get", "roles", "-n", NAMESPACE, "-o", "json"))["items"]
        for rule in role["rules"]
        if rule["resources"] == ["leases"]
        for name in rule.get("resourceNames", ())
    }
    assert leases == {f"{RELEASE}-xstilts-operator", "second-xstilts-operator"}


def test_what_is_kept_is_taken_over_by_another_name_where_helm_is_told_to(second: Audited) -> None:
    install = ("install", "second", CHART, "--values", "-")
    on_server(second, "uninstall", RELEASE)
    with pytest.raises(HelmError, match=REFUSED):
        on_server(second, *install, stdin="{}")
    on_server(second, *install, "--take-ownership", stdin="{}")
    assert owners(second) == {"second"}
