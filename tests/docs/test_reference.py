"""The reference is what the code says: fields, values, metrics, commands, catalogue."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from xstilts.cli import app

GENERATED = "<!-- Made by scripts/reference.py"


def test_the_pages_are_what_the_script_makes(assert_as_made: Callable[[str], None]) -> None:
    assert_as_made("reference.py")


def test_no_page_is_left_of_what_is_not_made_any_more(repository: Path) -> None:
    script = (repository / "scripts" / "reference.py").read_text(encoding="utf-8")
    for page in (repository / "docs" / "reference").glob("*.md"):
        if page.read_text(encoding="utf-8").startswith(GENERATED):
            assert f'"{page.name}"' in script


def test_the_costs_of_the_question_of_size_are_those_of_the_plan(repository: Path, tmp_path: Path) -> None:
    """As a reader would ask for them: the page's own command."""
    page = (repository / "docs" / "explanation" / "model-size.md").read_text(encoding="utf-8")
    asked = re.search(r"^xstilts (plan examples/(\S+\.yaml) .*)$", page, re.MULTILINE)
    assert asked is not None
    words = shlex.split(asked[1].replace("examples/", f"{repository}/examples/"))
    ended = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store")])
    (line,) = (one for one in ended.output.splitlines() if one.startswith("in all"))
    *_, low, likely, high, _not_run, _naive, euros, _disk, _unit = line.split()
    assert f"{asked[2]}) | {low} | {likely} | {high} | {euros} |" in page
