"""The site builds without a warning, from its own lock."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ENVIRONMENT = "build/docs-venv"


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, as `make docs` builds it."""
    subprocess.run(["make", "-s", f"{ENVIRONMENT}/installed"], cwd=repository, check=True)
    folder = tmp_path_factory.mktemp("site")
    command = [f"{ENVIRONMENT}/bin/sphinx-build", "-q", "-W", "--keep-going", "-n", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", folder / "cache", "docs", folder / "html"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_page_is_built(repository: Path, site: Path) -> None:
    made_of = repository / "docs" / "explanation" / "e5-depth"  # the files of a report
    pages = [page for page in (repository / "docs").rglob("*.md") if not page.is_relative_to(made_of)]
    assert repository / "docs" / "explanation" / "e5-depth.md" in pages
    for page in pages:
        assert (site / page.relative_to(repository / "docs").with_suffix(".html")).is_file(), page


def test_a_link_to_a_file_of_the_tree_can_be_downloaded(site: Path) -> None:
    page = (site / "explanation" / "model-size.html").read_text(encoding="utf-8")
    assert "xlmr-size-xnli.yaml" in page
    assert list((site / "_downloads").glob("*/xlmr-size-xnli.yaml"))


def test_a_page_that_shows_a_file_keeps_that_files_links(site: Path) -> None:
    page = (site / "how-to" / "own-task.html").read_text(encoding="utf-8")
    assert "Bring your own" in page
    assert list((site / "_downloads").glob("*/name_kind.py"))


def test_what_a_table_of_values_stands_in_is_the_sites_own_page(site: Path) -> None:
    page = (site / "installation.html").read_text(encoding="utf-8")
    assert 'href="reference/helm-values.html"' in page
