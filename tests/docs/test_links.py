"""A relative link in any Markdown file of the repository leads to a file that is there, and to a heading that is in it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# What git tracks or would: nothing that is built.
LISTED = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md")
FILES = sorted(
    name
    for name in subprocess.run(
        LISTED, cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    if name and (REPOSITORY / name).is_file()
)
LINK = re.compile(r"(?<!`)\]\((?![a-z]+:)([^)\s]+)\)")


def test_the_pages_of_the_site_are_among_the_files() -> None:
    assert {"README.md", "docs/index.md", "docs/operator.md", "docs/tutorials/quickstart.md"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    path = REPOSITORY / name
    for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        file, _, heading = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{name}: {link}"
        if heading:
            assert heading in anchors(target), f"{name}: {link}"


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page.read_text(encoding="utf-8")), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(found)
