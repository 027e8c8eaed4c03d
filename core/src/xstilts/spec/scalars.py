"""What an unquoted YAML scalar is, as kubectl reads it.

kubectl's YAML library (sigs.k8s.io/yaml) follows YAML 1.1 and Go's number syntax. Reading as it does means that a file
which is valid here is the same object on a cluster, and that `1e-5` (a float) and `no` (false) are seen as what a
cluster would make of them. Dates stay strings there, so they do here.
"""

from __future__ import annotations

import math
import re

_BOOLEANS = {
    word: truth
    for truth, words in ((True, ("y", "yes", "true", "on")), (False, ("n", "no", "false", "off")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NOT_FINITE = {
    **{sign + word: float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[bB](?P<two>[01]+)|0[xX](?P<sixteen>[0-9a-fA-F]+)|0[oO]?(?P<eight>[0-7]+)|(?P<ten>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}

Scalar = str | int | float | bool | None


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar. Integers beyond 64 bits are floats, as in Go."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NOT_FINITE:
        return _NOT_FINITE[text]
    if text[0] not in "+-.0123456789":
        return text
    number = text.replace("_", "")
    integer = _integer(number)
    if integer is not None:
        return integer
    return float(number) if _FLOAT.fullmatch(number) else text


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > 70:  # 64 binary digits, a sign and a prefix
        return None
    base = match.lastgroup or "ten"
    value = int(match["sign"] + match[base], _BASES[base])
    return value if -(2**63) <= value < 2**64 else None
