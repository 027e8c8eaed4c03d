"""Write the pages of docs/reference/ that are made from code, and tables of others; with --check, say if they differ.

Each page is made from the one place that decides what it says: the custom resources, the chart's values, the metrics as
they are exposed, the commands' own help, the catalogue. `make docs` runs it; a test finds what it would change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from made_files import differing

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # for operator_progress.exposing

from docs import catalogue, codes, commands, costs, metrics, notebook, resources, values

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
HEADER: Final = "<!-- Made by scripts/reference.py (`make docs`): change what it is made from. -->\n"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "transferexperiment.md": resources.experiment,
    "transferstage.md": resources.stage,
    "helm-values.md": values.page,
    "metrics.md": metrics.page,
    "cli.md": commands.page,
    "catalogue.md": catalogue.page,
    "exit-codes.md": codes.page,
    "notebook.md": notebook.page,
}


PARTS: Final[Mapping[Path, Callable[[], str]]] = {costs.PAGE: costs.page}  # a table of it is made


def main(*arguments: str) -> int:
    """Write the pages, or with --check compare them; the exit status."""
    check = "--check" in arguments
    differ = differing(FOLDER, pages(), check=check)
    for path, make in PARTS.items():
        differ += differing(path.parent, {path.name: make()}, check=check)
    if check and differ:
        print(
            f"the documentation must be what scripts/reference.py makes, differs in {', '.join(differ)}; "
            "run .venv/bin/python scripts/reference.py"
        )
        return 1
    return 0


def pages() -> dict[str, str]:
    """File name -> its text."""
    return {name: f"{HEADER}\n{make()}" for name, make in PAGES.items()}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
