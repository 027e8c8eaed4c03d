"""The page in a real browser: nobody is kept from reading it, and it fits a phone."""

from __future__ import annotations

import pytest

from xstilts.report import Provenance, StageRecord, contents, render
from xstilts.spec import Analysis

from .browser import SERIOUS, browser, inspect
from .made import results


@pytest.fixture(scope="module")
def page() -> str:
    """A page with every part."""
    stages = (StageRecord("1" * 64, "train mnli on mt5-base, seed 1", 60.0, reused=False, outputs="2" * 64),)
    return render(
        contents(results(), Analysis()),
        Provenance({"torch": ("2.9",)}, ("cores 2",), ("google/mt5-base",), stages),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, False), (1280, True)])
def test_axe_has_no_serious_finding(page, tmp_path, width, dark):
    program = browser()
    if program is None:
        pytest.skip("no chromium is here")
    found = inspect(page, program, tmp_path, width=width, dark=dark)
    assert {"color-contrast", "svg-img-alt", "heading-order"} <= set(found["passes"])
    assert not [one for one in found["violations"] if one["impact"] in SERIOUS], found["violations"]
    assert found["width"] <= found["window"]  # wide tables scroll in themselves, the page does not
