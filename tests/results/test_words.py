"""Numbers in words: no rounding says another thing than the number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.results.combinations import Estimate
from xstilts.results.main import LEVEL
from xstilts.results.table import difference
from xstilts.results.words import ABSENT, p_value, signed, span


@pytest.mark.parametrize(
    ("value", "text"), [(1.26, "+1.3"), (-1.26, "-1.3"), (0.04, "0.0"), (-0.04, "0.0"), (None, ABSENT)]
)
def test_a_difference_that_rounds_to_0_has_no_sign(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.03, 3.7, "+0.03 to +3.7"),
        (-2.5, -0.004, "-2.5 to -0.004"),
        (-2.5, 0.0, "-2.5 to 0.0"),
        (-1e-9, 1.0, "0.0 to +1.0"),
    ],
)
def test_an_interval_shows_on_which_side_of_0_its_ends_lie(low, high, text):
    assert span(low, high) == text


def test_so_does_that_of_a_table():
    assert difference(Estimate.of([0.2, 0.3, 0.4]), ci=True) == "+0.3 [+0.1, +0.5]"
    assert difference(Estimate.of([0.2, 0.3, 0.421]), ci=True) == "+0.3 [+0.03, +0.6]"
    assert difference(Estimate.of([-0.04])) == "0.0"


@given(st.floats(0, 1))
def test_a_p_value_is_on_the_side_of_the_level_that_it_says(value):
    text = p_value(value)
    assert (text.startswith("<") or float(text) < LEVEL) == (value < LEVEL)
    assert float(text.removeprefix("< ")) == pytest.approx(value, abs=0.001)
