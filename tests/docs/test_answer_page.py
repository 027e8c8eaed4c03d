"""The page that answers examples/e5-depth-xnli.yaml is made of its report's files, and its numbers are those of its scores."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from xstilts.spec import Experiment, load_experiment
from xstilts.spec.fields import BASELINE

Cell = tuple[str, str, str]  # target, model, intermediate


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


def test_the_page_is_what_the_script_makes(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, repository / "scripts" / "answer_page.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
