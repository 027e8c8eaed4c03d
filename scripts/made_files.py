"""Files that are made from code and committed: written anew, or compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def differing(folder: Path, texts: Mapping[str, str], *, check: bool) -> list[str]:
    """The names of the files in a folder that are not these texts; they are written, unless this is a `check`."""
    differ = []
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            differ.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    return differ
