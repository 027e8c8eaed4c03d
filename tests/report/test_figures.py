"""Figures: what stands where, what is marked, and that they are well-formed and say what they show."""

from __future__ import annotations

from math import inf
from xml.etree import ElementTree as ET

import pytest

from xstilts.report.figures import LETTER, Mark, Panel, Row, darkest, draw, legend, limits_of, shade, shape

ROWS = (
    Row("German de", (Mark(0, 1.0, -1.0, 3.0), Mark(1, -2.0, -2.5, -1.5)), flagged=True),
    Row("<odd> & co", (Mark(0, 0.5, hollow=True),)),
)


def drawn(**changes):
    panel = Panel(
        **{"title": "t <b>", "description": "d", "rows": ROWS, "series": ("a", "b"), "zero": True, **changes}
    )
    return ET.fromstring(draw(panel, "one").__html__())  # noqa: S314 - made here


def test_a_figure_is_well_formed_and_says_what_it_shows():
    svg = drawn()
    title, description, *_ = svg
    assert (title.text, description.text) == ("t <b>", "d")
    assert svg.get("aria-labelledby").split() == [title.get("id"), description.get("id")]
    texts = [element.text for element in svg.iter("text")]
    assert {"German de †", "<odd> & co"} <= set(texts)
    assert [element.get("class") for element in svg.iter("circle")] == ["mark s0", "mark s0 hollow"]


def test_marks_stand_in_the_order_of_their_values_and_intervals_around_them():
    svg = drawn()
    first, second = (float(element.get("cx")) for element in svg.iter("circle"))
    [zero] = [float(element.get("x1")) for element in svg.iter("line") if element.get("class") == "zero"]
    assert zero < second < first
    low, high = next(
        (float(line.get("x1")), float(line.get("x2")))
        for line in svg.iter("line")
        if line.get("class") == "range s0"
    )
    assert low < zero < first < high


def test_bars_begin_at_zero_and_a_line_marks_chance():
    svg = drawn(
        bars=True, zero=False, limits=(0.0, 100.0), line=(33.3, "chance"), rows=(Row("en", (Mark(0, 50.0),)),)
    )
    [bar] = svg.iter("rect")
    axis = [line for line in svg.iter("line") if line.get("class") == "grid"]
    assert float(bar.get("x")) == float(axis[0].get("x1"))
    assert float(bar.get("x")) + float(bar.get("width")) == pytest.approx(float(axis[1].get("x1")), abs=0.11)
    assert "chance" in [element.text for element in svg.iter("text")]


def test_axes_hold_all_finite_numbers():
    low, high = limits_of([*ROWS, Row("x", (Mark(0, 1.0, -inf, inf),))], zero=True)
    assert low < -2.5
    assert 3.0 < high < 5.0
    assert limits_of([], zero=False)[0] < limits_of([], zero=False)[1]
    assert limits_of([Row("x", (Mark(0, 7.0),))], zero=False) == (6.5, 7.5)


def test_shades_are_the_sign_and_the_size():
    most = darkest([4.0, -1.0, 0.01, -2.1])
    assert [shade(value, most) for value in (4.0, -1.0, 0.01, -2.1)] == ["plus4", "minus1", "even", "minus3"]
    assert darkest([]) > 0


def test_deltas_that_are_all_small_are_not_dark():
    """Else two tenths of a point looked as ten points do."""
    assert [shade(value, darkest([0.2, -0.1])) for value in (0.2, -0.1, 0.0)] == ["plus1", "minus1", "even"]


def test_a_legend_names_its_series():
    assert "<b>" not in legend(["<b>", "large"])
    assert legend(["base", "large"]).count("<li>") == 2


@pytest.mark.parametrize("name", ["en", "commonsense-qa", "all-nine-multilingual-mlm", "m" * 63])
def test_labels_have_room_and_names_that_are_longer_keep_their_ends(name):
    svg = drawn(rows=(Row(name, (Mark(0, 1.0),), flagged=True),))
    [label] = [text for text in svg.iter("text") if text.get("text-anchor") == "end"]
    assert len(label.text) * LETTER <= float(label.get("x"))
    assert label.text == f"{name} †" or (label.text[:9], label.text[-4:]) == (name[:9], f"{name[-2:]} †")
    assert min(float(line.get("x1")) for line in svg.iter("line")) >= float(label.get("x"))


def test_sixteen_series_are_told_apart():
    marks = [ET.fromstring(shape(series, 10, 10)) for series in range(16)]  # noqa: S314 - made here
    kinds = {(mark.get("class"), mark.tag, len(mark.get("points", "").split())) for mark in marks}
    assert len(kinds) == 16
