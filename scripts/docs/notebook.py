"""The Python API for notebooks, from signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from docs.markdown import block, code, prose, table
from xstilts import notebook as api

_SECTION: Final = re.compile(r"^(Args|Raises):\n((?:    .*\n?|\n)+)", re.MULTILINE)
PAGE = """# Python API for notebooks

`xstilts.notebook` reads results into a data frame and draws them. It needs the extra `notebook` (pandas and matplotlib); what
reads from a cluster needs the extra `cluster`, too.

"""


def page() -> str:
    """The page."""
    example = inspect.cleandoc(api.__doc__ or "").partition("\n\n")[2]
    functions = [one for _, one in inspect.getmembers(api, inspect.isfunction) if _is_public(one)]
    functions.sort(key=lambda one: one.__code__.co_firstlineno)
    return (
        PAGE
        + block(example, "python")
        + f"\nThe columns of a data frame are {', '.join(map(code, api.COLUMNS))}; the metric "
        + f"{code(api.SCORE)} is a task's main score.\n\n"
        + "\n".join(map(_function, functions))
    )


def _is_public(function: Any) -> bool:
    return function.__module__ == api.__name__ and not function.__name__.startswith("_")


def _function(function: Any) -> str:
    documented = inspect.cleandoc(function.__doc__ or "")
    parameters = ",\n    ".join(_parameters(inspect.signature(function)))
    returned = inspect.signature(function).return_annotation
    signature = f"xstilts.notebook.{function.__name__}(\n    {parameters},\n) -> {returned}"
    told = _SECTION.sub("", documented + "\n").strip()
    sections = (_section(name, text) for name, text in _SECTION.findall(documented + "\n"))
    return "\n".join((f"## {function.__name__}\n", block(signature, "python"), prose(told) + "\n", *sections))


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    keywords = False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not keywords:
            keywords = True
            yield "*"
        default = "" if one.default is one.empty else f" = {one.default!r}"
        yield f"{one.name}: {one.annotation}{default}"


def _section(name: str, text: str) -> str:
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)
    title = {"Args": "argument", "Raises": "raises"}[name]
    return table((title, "meaning"), ((code(entry), prose(told)) for entry, told in entries))
