"""Write docs/explanation/e5-depth.md, the answer of examples/e5-depth-xnli.yaml, from the files of its report.

    .venv/bin/python scripts/answer_page.py results/e5-depth-xnli      # copy the report's files and write the page
    .venv/bin/python scripts/answer_page.py                            # write the page from the copied files
    .venv/bin/python scripts/answer_page.py --check                    # say if the page differs from the copied files

Every number of the page, and every word that a number decides, is the report's own: `answer.md`, blocks of `tables.md`, figures.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from made_files import differing

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "explanation"
FILES: Final = FOLDER / "e5-depth"
PAGE: Final = "e5-depth.md"
COPIED: Final = ("answer.md", "tables.md", "results.csv", "report.html")
FIGURES: Final = "figure-*.svg"
HEADER: Final = (
    "<!-- Made by scripts/answer_page.py from the files in e5-depth/: change what they are made from. -->\n"
)

# Of the report's tables, which the page shows: a heading, and how the titles under it begin.
SHOWN: Final = {
    "The contrasts": "**e5-depth-xnli: primary answer",
    "Scores, transfer gap, worst language": "**e5-depth-xnli**",
    "Languages and seeds": "**e5-depth-xnli: robustness",
}


def copy(report: Path) -> None:
    """Put what the page needs of a report's folder beside it, in place of what is there.

    All of it is read before anything is removed: the folder may be the very one that is replaced, or lack a file.
    """
    paths = [*(report / name for name in COPIED), *report.glob(FIGURES)]
    contents = {path.name: path.read_bytes() for path in paths}
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    for name, content in contents.items():
        (FILES / name).write_bytes(content)


def page() -> str:
    """The page's text, from the files beside it."""
    answer = (FILES / "answer.md").read_text(encoding="utf-8")
    sections = "\n".join(f"## {heading}\n\n{_blocks(title)}" for heading, title in SHOWN.items())
    return f"{HEADER}\n{_BEGIN}\n{answer}\n{sections}\n{_pictures()}\n{_END}"


def _blocks(title: str) -> str:
    """The tables whose title begins so, with their notes."""
    text = (FILES / "tables.md").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=\*\*)", text, flags=re.MULTILINE)
    return "\n".join(f"{block.strip()}\n" for block in blocks if block.startswith(title))


def _pictures() -> str:
    shown = []
    for path in sorted(FILES.glob(FIGURES)):
        heading = re.search(r"<title>(.*?)</title>", path.read_text(encoding="utf-8"))
        shown.append(f"![{heading[1] if heading else path.stem}](e5-depth/{path.name})\n")
    return "## Figures\n\n" + "\n".join(shown)


def main(*arguments: str) -> int:
    """Write the page, of another report where one is named, or with --check compare it; the exit status."""
    if len(arguments) > 1:
        print("scripts/answer_page.py takes one argument at most: the folder of a report, or --check")
        return 2
    check = arguments == ("--check",)
    try:
        if arguments and not check:
            copy(Path(*arguments))
        text = page()
    except (FileNotFoundError, NotADirectoryError) as error:
        print(f"{error.filename} must be a file of the report, is not there; nothing was changed")
        return 1
    if differing(FOLDER, {PAGE: text}, check=check) and check:
        print(
            f"docs/explanation/{PAGE} must be what scripts/answer_page.py makes of docs/explanation/e5-depth/; run it"
        )
        return 1
    return 0


_BEGIN: Final = """\
# Depth and cross-lingual NLI, answered in small

What does a model's depth do to the robustness of zero-shot cross-lingual NLI after English intermediate training? It is
[the project's question](model-size.md) on a scale that two CPU cores can answer:
[e5-depth-xnli.yaml](../../examples/e5-depth-xnli.yaml) takes one public model with all of its layers and with the first half of them,
real slices of the real data sets, and seeds enough for an interval. The contrasts, their correction and the measures stand in that
file, and were fixed before the run. How many rows are trained on and the learning rate of XNLI were fixed after the first trainings had
shown, on English dev, how little the steps before taught; nothing had been evaluated then. How long it took stands in
[Measurements](../measurements.md); what an interval covers, in [Statistics](statistics.md).

## The answer
"""

_END: Final = """\
## What it does not show

- Depth is not size. The shallower model is the deeper one with layers left out, not a model that was pretrained at that depth: what it
  lacks may be layers, or may be pretraining.
- The model was trained to embed sentences with contrastive pairs, NLI and question answering among them, before any stage of this
  experiment. Its `none` is not the `none` of XLM-R or mT5.
- The data are slices, one pass over them is less than the recipe's, and the learning rate is not tuned for each depth.
- An interval covers seeds and test items. It covers no other model, task, translation or recipe.
- The report is as it was made after the run, but for the sentences of its answer: they were written again from the same numbers. Two of
  its numbers are reckoned otherwise today: the best intermediate for a seed was chosen in the seed itself, which favours lucky
  trainings ([Statistics](statistics.md) has how it is chosen now), and what is detectable was a sum of two quantiles, a little too
  small with few degrees of freedom.

[The whole report](e5-depth/report.html) has every table and the provenance of every number; [its scores](e5-depth/results.csv)
are a table for programs.
"""

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
