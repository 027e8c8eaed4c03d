"""What the chart holds of other files is as `make chart` would write it."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from chart.rendering import CHART

WHOLE = {("operator", "resources"), ("dashboards", "labels")}  # described as one, although they hold more


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "scripts")
        return importlib.import_module("chart_files")


def test_copies_and_table_are_as_made(script: ModuleType) -> None:
    for path, text in script.files().items():
        assert path.read_text() == text, f"{path.name}: run `make chart`"


def test_there_is_no_resource_that_the_project_does_not_have(repository: Path) -> None:
    ours, copies = (
        {path.name for path in folder.iterdir()} for folder in (repository / "crds", CHART / "files/crds")
    )
    assert ours == copies


def leaves(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(values, dict) or not values or path in WHOLE:
        return [path]
    return [leaf for key, value in values.items() for leaf in leaves(value, (*path, key))]


def test_every_value_is_described(script: ModuleType) -> None:
    text = (CHART / "values.yaml").read_text()
    described = dict(script.described(text))
    assert sorted(described) == sorted(leaves(yaml.safe_load(text)))
    assert all(re.match(r"[`A-Z]", sentence) for sentence in described.values())


def test_a_description_may_have_two_lines(script: ModuleType) -> None:
    text = "# no description\na:\n  # -- One\n  # two\n  b: 1\n\n# -- lost\n\nc: 2\n"
    assert dict(script.described(text)) == {("a", "b"): "One two"}
    assert script.table(text.replace("c: 2\n", "")).splitlines()[-1] == "| `a.b` | `1` | One two |"


def test_the_version_is_the_distributions(repository: Path) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    versions = {
        tomllib.loads((repository / name / "pyproject.toml").read_text())["project"]["version"]
        for name in ("core", "operator", "trainer")
    }
    assert versions == {chart["appVersion"]}


def test_the_links_of_the_readme_are_there() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (CHART / "README.md").read_text()):
        assert (CHART / link).resolve().exists(), link
