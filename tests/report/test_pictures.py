"""Charts as files of their own: what the page shows of them, without anything of the page."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from xstilts.report import contents
from xstilts.report.contents import Contents
from xstilts.report.pictures import pictures
from xstilts.spec import Analysis

from .made import LANGUAGES, NAMES, results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made() -> Contents:
    return contents(results(), Analysis())


@pytest.fixture(scope="module")
def drawn(made: Contents) -> dict[str, ET.Element]:
    return {name: ET.fromstring(svg) for name, svg in pictures(made).items()}  # noqa: S314 - made here


def test_every_chart_of_the_page_is_a_file(drawn):
    assert set(drawn) == {
        f"figure-{kind}-{target}.svg"
        for kind in ("deltas", "scores", "seeds")
        for target in ("xnli", "xquad")
    }


def test_a_picture_says_what_the_page_says_of_a_chart(made, drawn):
    for chart in made.forests:
        svg = drawn[f"figure-deltas-{chart.title}.svg"]
        texts = [element.text for element in svg.iter(f"{SVG}text")]
        assert {"mt5-base", "mt5-large", *NAMES[1:]} <= set(texts)
        assert chart.note in " ".join(texts)
        assert [element.text for element in svg.iter(f"{SVG}desc")] == [
            one.description for _, one in chart.figures
        ]
    marks = [one for one in drawn["figure-deltas-xnli.svg"].iter(f"{SVG}circle") if one.get("r") == "3.4"]
    assert len(marks) == 1 + len(LANGUAGES) * len(NAMES[1:])  # of mt5-base, and one in the legend


def test_the_spread_over_seeds_says_what_its_marks_mean(made):
    xnli, xquad = made.seeds
    assert xnli.note == (
        "Hollow: no better than a blind guess in English. † in-task, overlap or language seen."
    )
    labels = [text.text for text in ET.fromstring(xnli.figures[0][1].__html__()).iter("text")]  # noqa: S314 - made here
    assert {"none", "mnli †", "squad"} <= set(labels)
    assert xquad.note == ""


def test_a_picture_needs_nothing_else_and_its_parts_lie_within_it(drawn):
    for name, svg in drawn.items():
        _, _, width, height = map(float, svg.get("viewBox").split())
        [style] = svg.iter(f"{SVG}style")
        assert "var(" not in style.text, name
        assert "#0b5cad" in style.text
        for group in svg.iter(f"{SVG}g"):
            left, top = map(float, group.get("transform")[len("translate(") : -1].split())
            for line in group.iter(f"{SVG}line"):
                assert 0 <= left + float(line.get("x2")) <= width, name
                assert 0 <= top + float(line.get("y2")) <= height, name
        for text in svg.findall(f"{SVG}text"):
            assert float(text.get("y")) <= height, name
