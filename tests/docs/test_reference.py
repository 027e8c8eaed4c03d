"""The reference is what the code says: fields, values, metrics, commands, catalogue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

GENERATED = "<!-- Made by scripts/reference.py"


def test_the_pages_are_what_the_script_makes(assert_as_made: Callable[[str], None]) -> None:
    assert_as_made("reference.py")


def test_no_page_is_left_of_what_is_not_made_any_more(repository: Path) -> None:
    script = (repository / "scripts" / "reference.py").read_text(encoding="utf-8")
    for page in (repository / "docs" / "reference").glob("*.md"):
        if page.read_text(encoding="utf-8").startswith(GENERATED):
            assert f'"{page.name}"' in script
