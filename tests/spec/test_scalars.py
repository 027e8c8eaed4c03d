"""Unquoted scalars are read as kubectl reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.spec.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("no", False),
        ("OFF", False),
        ("y", True),
        ("on", True),
        ("True", True),
        ("tRue", "tRue"),
        ("none", "none"),
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("0.1", 0.1),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        (".INF", math.inf),
        ("1e999", math.inf),
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("017", 15),
        ("089", 89.0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("1234567890123456789012345678901234567890", 1234567890123456789012345678901234567890.0),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("+", "+"),
        (".", "."),
        ("32Gi", "32Gi"),
    ],
)
def test_table(text, value):
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_not_a_number():
    assert math.isnan(resolve(".nan"))


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers(number):
    assert resolve(str(number)) == number


@given(st.text())
def test_anything_has_a_value(text):
    resolve(text)


@given(st.text("0123456789+-._eExXoObB", max_size=400))
def test_anything_like_a_number_has_a_value(text):
    resolve(text)
