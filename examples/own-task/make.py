"""Make the quickstart's tasks as files: one folder a task, `<split>.<language>.jsonl`, one JSON object a line.

    python examples/own-task/make.py FOLDER

The text is real (Unicode CLDR through Babel, names of persons through Faker); what is drawn is fixed by hashes, so that
the same versions of the packages give the same bytes on any machine. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import line_tags
import name_kind
import name_pairs
import place_quiz

Row = dict[str, Any]
TASKS: Final[dict[str, Callable[[], dict[str, list[Row]]]]] = {
    "line-tags": line_tags.files,
    "name-kind": name_kind.files,
    "name-pairs": name_pairs.files,
    "place-quiz": place_quiz.files,
}


def main() -> None:
    """Write every task below the folder that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder)


def make(folder: Path) -> None:
    """Write every task as `folder/<task>/<split>.<language>.jsonl`."""
    for task, files in TASKS.items():
        (folder / task).mkdir(parents=True, exist_ok=True)
        for name, rows in files().items():
            (folder / task / f"{name}.jsonl").write_bytes(_json_lines(rows))


def _json_lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


if __name__ == "__main__":
    main()
