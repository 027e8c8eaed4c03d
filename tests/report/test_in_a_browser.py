"""The page in a real browser: nobody is kept from reading it, and it fits a phone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.report import Provenance, StageRecord, contents, render
from xstilts.results import Results
from xstilts.spec import Analysis

from .browser import SERIOUS, browser, inspect
from .made import results

WHITE = "rgb(255, 255, 255)"
PAPER = 717  # CSS pixels between the margins of A4, 0.4 inches each, with which browsers print


def page_of(found: Results) -> str:
    stages = (StageRecord("1" * 64, "train mnli on mt5-base, seed 1", 60.0, reused=False, outputs="2" * 64),)
    return render(
        contents(found, Analysis()),
        Provenance({"torch": ("2.9",)}, ("cores 2",), ("google/mt5-base",), stages),
    )


@pytest.fixture(scope="module")
def page() -> str:
    """A page with every part."""
    return page_of(results())


@pytest.fixture(scope="module")
def wide_page() -> str:
    """After as many intermediates as the largest example has, with names as long: a table of 34 columns."""
    found = results()
    names = [f"commonsense-qa-{number}" for number in range(13)]
    rows = [
        replace(row, intermediate=name) for name in names for row in found.rows if row.intermediate == "squad"
    ]
    return page_of(replace(found, intermediates=(*found.intermediates, *names), rows=(*found.rows, *rows)))


@pytest.fixture(scope="module")
def real_page(repository: Path) -> str:
    """One that a run has come to, as it stands in the documentation."""
    return (repository / "docs/explanation/e5-depth/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def program() -> str:
    """A browser. Without one the tests are skipped, which is a failure where CI is set (tests/conftest.py)."""
    found = browser()
    if found is None:
        pytest.skip("no chromium is here")
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("of", ["page", "real_page"])
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, False), (1280, True)])
def test_axe_has_no_serious_finding(request, program, tmp_path, of, width, dark):
    found = inspect(request.getfixturevalue(of), program, tmp_path, width=width, dark=dark)
    assert {"color-contrast", "svg-img-alt", "heading-order"} <= set(found["passes"])
    assert not [one for one in found["violations"] if one["impact"] in SERIOUS], found["violations"]
    assert found["width"] <= found["window"]  # wide tables scroll in themselves, the page does not
    assert (found["ground"] == WHITE) is not dark


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("of", ["page", "wide_page", "real_page"])
def test_on_paper_nothing_is_cut_off_and_the_ground_is_white_also_for_who_reads_in_the_dark(
    request, program, tmp_path, of
):
    found = inspect(request.getfixturevalue(of), program, tmp_path, width=PAPER, dark=True, printed=True)
    assert found["window"] == PAPER
    assert found["width"] <= 1.5 * PAPER  # by so much browsers make a page smaller before they cut it off
    assert (found["ground"], found["text"]) == (WHITE, "rgb(0, 0, 0)")
    assert not [one for one in found["violations"] if one["impact"] in SERIOUS], found["violations"]
