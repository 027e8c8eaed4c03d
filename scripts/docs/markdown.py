"""The little Markdown that the pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with its last line's end."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


def cell(text: str) -> str:
    """What stands in a table's cell: one line, without a bar that would end it."""
    return " ".join(text.split()).replace("|", r"\|")


def code(text: object) -> str:
    """A literal."""
    return f"`{text}`" if f"{text}" else "`''`"


def codes(values: Iterable[object], separator: str = ", ") -> str:
    """Several literals."""
    return separator.join(map(code, values))


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it and the site does."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def block(text: str, language: str = "") -> str:
    """A fenced block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def prose(text: str) -> str:
    """A sentence of plain text as Markdown: what would be read as a tag or a link is kept as it stands."""
    kept = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<>\[\]*])", r"\\\1", part) for part in kept)
