"""The page that answers examples/e5-depth-xnli.yaml is made of its report's files, and its numbers are those of its scores."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from xstilts.spec import Experiment, load_experiment
from xstilts.spec.fields import BASELINE

Cell = tuple[str, str, str]  # target, model, intermediate
FILES, PAGE = "docs/explanation/e5-depth", "docs/explanation/e5-depth.md"


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    """The text of the page."""
    return (repository / "docs" / "explanation" / "e5-depth.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def experiment(repository: Path) -> Experiment:
    """What was run."""
    return load_experiment(repository / "examples" / "e5-depth-xnli.yaml")


@pytest.fixture(scope="module")
def scores(repository: Path) -> dict[Cell, dict[str, list[float]]]:
    """Of every cell the scores of each language, one a seed."""
    found: dict[Cell, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (repository / "docs" / "explanation" / "e5-depth" / "results.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = row["target"], row["model"], row["intermediate"]
            found[cell][row["language"]].append(float(row["value"]))
    return found


def section(page: str, heading: str) -> list[dict[str, str]]:
    """The rows of the first table under a heading."""
    _, _, text = page.partition(f"\n## {heading}\n")
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("|")]
    head, _, *rows = ([text.strip() for text in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def number(cell: str) -> float:
    """A table's number without its standard deviation over seeds."""
    return float(cell.split(maxsplit=1)[0])


def test_the_page_is_what_the_script_makes(assert_as_made: Callable[[str], None]) -> None:
    assert_as_made("answer_page.py")


def test_every_cell_of_the_experiment_was_run(
    experiment: Experiment, scores: dict[Cell, dict[str, list[float]]]
) -> None:
    spec = experiment.spec
    intermediates = [BASELINE, *(one.name for one in spec.intermediates)]
    for target in spec.targets:
        for model in spec.models:
            for intermediate in intermediates:
                assert scores[target.task, model.name, intermediate], (target.task, model.name, intermediate)
    languages = scores["xnli", spec.models[0].name, BASELINE]
    assert len(languages) == 15
    assert {len(seeds) for seeds in languages.values()} == {len(spec.seeds)}


def test_the_pages_scores_are_those_of_the_runs(
    page: str, scores: dict[Cell, dict[str, list[float]]]
) -> None:
    rows = section(page, "Scores, transfer gap, worst language")
    assert {(row["target"], row["model"], row["intermediate"]) for row in rows} == scores.keys()
    for row in rows:
        means = {
            language: fmean(seeds)
            for language, seeds in scores[row["target"], row["model"], row["intermediate"]].items()
        }
        others = [mean for language, mean in means.items() if language != "en"]
        worst = min((mean, language) for language, mean in means.items() if language != "en")
        assert number(row["score"]) == pytest.approx(fmean(means.values()), abs=0.051)
        assert number(row["zero-shot"]) == pytest.approx(fmean(others), abs=0.051)
        assert number(row["worst"].split()[-1]) == pytest.approx(worst[0], abs=0.051)
        if "en" in means:
            assert number(row["English"]) == pytest.approx(means["en"], abs=0.051)
            assert number(row["gap"]) == pytest.approx(means["en"] - fmean(others), abs=0.051)


def test_every_picture_of_the_page_is_there(page: str, repository: Path) -> None:
    folder = repository / "docs" / "explanation" / "e5-depth"
    pictures = {path.name for path in folder.glob("*.svg")}
    assert pictures
    assert {name for name in pictures if f"](e5-depth/{name})" in page} == pictures


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """The script, the page and its files in a place where they may be changed."""
    root = tmp_path / "checkout"
    shutil.copytree(repository / FILES, root / FILES)
    for name in (PAGE, "scripts/answer_page.py", "scripts/made_files.py"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(repository / name, root / name)
    return root


@pytest.fixture
def report(repository: Path, tmp_path: Path) -> Path:
    """Another report: one of its figures is another one, and it has a file that the page does not need."""
    folder = tmp_path / "report"
    shutil.copytree(repository / FILES, folder)
    (folder / "figure-seeds-xnli.svg").rename(folder / "figure-seeds-other.svg")
    (folder / "primary.parquet").touch()
    return folder


def run(checkout: Path, *arguments: str | Path) -> tuple[int, str]:
    """The script's exit status and what it says."""
    done = subprocess.run(
        [sys.executable, "scripts/answer_page.py", *arguments],
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def contents(checkout: Path) -> dict[str, bytes]:
    """The page and its files."""
    paths = [checkout / PAGE, *(checkout / FILES).iterdir()]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.parametrize("arguments", [(), (FILES,)])
def test_the_page_is_made_again_of_the_files_that_are_there(
    checkout: Path, arguments: tuple[str, ...]
) -> None:
    before = contents(checkout)
    (checkout / PAGE).write_text("another page", encoding="utf-8")
    assert run(checkout, *arguments) == (0, "")
    assert contents(checkout) == before


def test_another_report_takes_the_place_of_the_files(checkout: Path, report: Path) -> None:
    before = contents(checkout)
    assert run(checkout, report) == (0, "")
    after = contents(checkout)
    assert after.keys() ^ before.keys() == {"figure-seeds-xnli.svg", "figure-seeds-other.svg"}
    assert b"](e5-depth/figure-seeds-other.svg)" in after["e5-depth.md"]


def test_the_page_shows_every_table_of_the_primary_answer_whatever_its_title_says_of_cells(
    checkout: Path, report: Path
) -> None:
    title = "**e5-depth-xnli: primary answer"
    tables = (report / "tables.md").read_text(encoding="utf-8")
    block = next(one for one in tables.split("\n**") if f"**{one}".startswith(title))
    beside = block.replace("primary answer", "primary answer without collapsed seeds", 1)
    renamed = block.replace("primary answer", "primary answer over all cells", 1)
    (report / "tables.md").write_text(tables.replace(block, f"{renamed}\n**{beside}", 1), encoding="utf-8")
    assert run(checkout, report) == (0, "")
    shown = (checkout / PAGE).read_text(encoding="utf-8")
    titles = [line.strip("*") for line in shown.splitlines() if line.startswith(title)]
    assert titles == [
        f"{title.strip('*')} {words}" for words in ("over all cells", "without collapsed seeds")
    ]


@pytest.mark.parametrize("name", ["answer.md", "tables.md", "results.csv", "report.html"])
def test_of_a_report_that_lacks_a_file_nothing_is_taken(checkout: Path, report: Path, name: str) -> None:
    before = contents(checkout)
    (report / name).unlink()
    said = f"{report / name} must be a file of the report, is not there; nothing was changed\n"
    assert run(checkout, report) == (1, said)
    assert contents(checkout) == before


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_page_whose_files_are_gone_is_not_made(checkout: Path, arguments: tuple[str, ...]) -> None:
    (checkout / FILES / "tables.md").unlink()
    before = contents(checkout)
    code, said = run(checkout, *arguments)
    assert code == 1
    assert said.endswith("tables.md must be a file of the report, is not there; nothing was changed\n")
    assert contents(checkout) == before


def test_a_check_changes_nothing(checkout: Path, report: Path) -> None:
    (checkout / PAGE).write_text("another page", encoding="utf-8")
    before = contents(checkout)
    code, said = run(checkout, "--check")
    assert (code, said.endswith("; run it\n")) == (1, True)
    for arguments in (("--check", report), (report, "--check"), (report, report)):
        code, said = run(checkout, *arguments)
        assert (code, said.count("\n")) == (2, 1)
        assert "takes one argument at most" in said
    assert contents(checkout) == before
