"""One spelling a value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.decimals import canonical_decimal


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1e-5", "1e-5"),
        ("1E-05", "1e-5"),
        ("0.00001", "1e-5"),
        ("0.000010", "1e-5"),
        ("10e-6", "1e-5"),
        ("1.5e-5", "1.5e-5"),
        ("0.0001", "0.0001"),
        ("1e-4", "0.0001"),
        ("0.1", "0.1"),
        (".1", "0.1"),
        ("00.10", "0.1"),
        ("1", "1"),
        ("1.0", "1"),
        ("1.", "1"),
        ("100", "100"),
        ("1e2", "100"),
        ("12.50", "12.5"),
        ("1e16", "1e16"),
        ("0", "0"),
        ("0.0e9", "0"),
    ],
)
def test_one_spelling(text, canonical):
    assert canonical_decimal(text) == canonical


@pytest.mark.parametrize(
    "text", ["", ".", "-1", "+1", "nan", "inf", "1e", "e5", "1 ", "1,5", "0x1", "1_0", "\u0661"]
)
def test_no_decimal(text):
    with pytest.raises(ValueError, match="must be a decimal of at least 0"):
        canonical_decimal(text)


decimals = st.builds(
    "{}.{}e{}".format,
    st.integers(0, 10**12),
    st.text("0123456789", max_size=12),
    st.integers(-40, 40),
)


@given(decimals)
def test_the_value_stays_and_the_spelling_is_stable(text):
    canonical = canonical_decimal(text)
    assert Decimal(canonical) == Decimal(text)
    assert canonical_decimal(canonical) == canonical


@given(decimals, st.integers(0, 6), st.integers(-6, 6))
def test_equal_values_have_one_spelling(text, zeros, shift):
    mantissa, _, exponent = text.partition("e")
    shifted = Decimal(mantissa).scaleb(shift)
    other = f"{'0' * zeros}{shifted:f}e{int(exponent) - shift}"
    assert canonical_decimal(other) == canonical_decimal(text)


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_floats_read_back(number):
    assert float(canonical_decimal(repr(number))) == number
