"""Decimals as strings: one spelling a value, so that equal numbers give equal stage keys."""

from __future__ import annotations

import re

_DECIMAL = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?:[eE](?P<exponent>[+-]?[0-9]{1,3}))?")


def canonical_decimal(text: str) -> str:
    """The canonical spelling of a decimal of at least 0: `1e-5` for "1e-5", "1E-05", "0.00001" and "0.000010".

    The spelling is that of Python's shortest float, less the exponent's padding: plain digits from 1e-4 to below
    1e16, else one digit, the others after a point, and the exponent. No digit is ever rounded away.

    Raises:
        ValueError: the text is no decimal of at least 0 (a sign, NaN, an infinity, spaces, nothing).
    """
    match = _DECIMAL.fullmatch(text)
    if match is None or not (match["whole"] or match["part"]):
        raise ValueError(f"must be a decimal of at least 0, was {text!r}")
    part = match["part"] or ""
    digits = (match["whole"] + part).lstrip("0")
    if not digits:
        return "0"
    leading = len(digits) - 1 - len(part) + int(match["exponent"] or 0)  # the exponent of the first digit
    digits = digits.rstrip("0")
    if not -5 < leading < 16:
        return f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{leading}"
    if leading < 0:
        return f"0.{'0' * (-leading - 1)}{digits}"
    whole = digits[: leading + 1].ljust(leading + 1, "0")
    return f"{whole}{'.' if digits[leading + 1 :] else ''}{digits[leading + 1 :]}"
