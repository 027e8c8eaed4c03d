"""The reference is what the code says: fields, values, metrics, commands, catalogue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

GENERATED = "<!-- Made by scripts/reference.py"


def test_the_pages_are_what_the_script_makes(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts" / "reference.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_page_is_left_of_what_is_not_made_any_more(repository: Path) -> None:
    script = (repository / "scripts" / "reference.py").read_text(encoding="utf-8")
    for page in (repository / "docs" / "reference").glob("*.md"):
        if page.read_text(encoding="utf-8").startswith(GENERATED):
            assert f'"{page.name}"' in script
