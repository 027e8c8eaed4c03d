"""Submission folders: what is written is read back, and XTREME's own numbers come out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import DataError
from xstilts.scoring import (
    TASKS,
    read_gold,
    read_predictions,
    score,
    score_submission,
    submission_path,
    write_predictions,
)
from xstilts.task import Metric

MADE = Path(__file__).parent / "made"
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)


@pytest.fixture
def made(tmp_path):
    """A copy of the made-up submission, to spoil."""
    return Path(shutil.copytree(MADE, tmp_path / "made"))


def problems(made: Path) -> list[str]:
    with pytest.raises(DataError) as raised:
        score_submission(made / "predictions", made / "labels")
    return [str(problem).replace(str(made), "") for problem in raised.value.problems]


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def assert_equal_scores(ours, reference):
    for task, metrics in reference.items():
        for metric, values in metrics.items():
            assert ours[task][metric] == pytest.approx(values, abs=1e-9, rel=0), (task, metric)


def test_the_made_up_submission_has_xtremes_numbers():
    scores = score_submission(MADE / "predictions", MADE / "labels")
    reference = json.loads((MADE / "xtreme_scores.json").read_text())
    assert scores.tasks.keys() == TASKS.keys()
    assert_equal_scores(scores.tasks, reference)
    assert any("1 of 3 questions have no prediction" in note for note in scores.notes)


@pytest.mark.data
def test_xtremes_mock_submission_has_the_numbers_of_its_own_script(data_dir):
    folder = data_dir / "xtreme_mock"
    reference = json.loads((folder / "scores.seqeval-0.0.12.json").read_text())
    mock = folder / "mock_test_data"
    result = run("--predictions", mock / "predictions", "--labels", mock / "labels", "-o", "json")
    printed = json.loads(result.stdout)
    reference["tasks"].pop("mewslix")  # XTREME-R's
    assert_equal_scores(printed["tasks"], reference["tasks"])
    assert {task: metrics["f1"].keys() for task, metrics in printed["tasks"].items() if "f1" in metrics} == {
        task: metrics["f1"].keys() for task, metrics in reference["tasks"].items() if "f1" in metrics
    }
    averages = reference["group_averages"]
    assert printed["overall"] == pytest.approx(averages.pop("all_task"), abs=1e-9)
    assert printed["groups"] == pytest.approx(averages, abs=1e-9)
    assert printed["missing"] == {}


def test_a_submission_that_lacks_languages_has_no_overall_score():
    scores = score_submission(MADE / "predictions", MADE / "labels")
    assert scores.overall is None
    assert scores.groups == {}
    assert "mlqa" not in scores.missing
    assert scores.missing["bucc2018"] == ("fr", "zh")


def test_the_command_prints_tables_and_notes():
    result = run("--predictions", MADE / "predictions", "--labels", MADE / "labels")
    assert result.exit_code == 0
    assert "xnli (partial)" in result.stdout
    assert "41.7" in result.stdout
    assert "no labels for ar, bg" in result.stderr


def test_all_problems_come_out_together(made):
    (made / "predictions/xnli/test-sw.tsv").unlink()
    (made / "predictions/pawsx/test-en.tsv").write_text("1\n0\n1\n")
    (made / "predictions/xnli/test-en.tsv").write_text("entailment\nneutral\n2\nneutral\n")
    (made / "predictions/panx/test-en.tsv").write_text(
        (MADE / "predictions/panx/test-en.tsv").read_text().replace("\n\n", "\n")
    )
    (made / "predictions/mlqa/test-de.json").write_text('{"m1": 3}')
    (made / "predictions/mlqa/test-en.json").write_text('{"m1": \n')
    (made / "predictions/xquad/test-en.json").write_text('{"other": "1861"}')
    (made / "predictions/tatoeba/test-de.tsv").write_text("2\n0\nx\n3\n")
    (made / "predictions/bucc2018/test-de.tsv").write_text("de-1\ten-1\nde-2 en-2\n")
    (made / "predictions/udpos/test-en.tsv").write_bytes(b"DET\nNO\xffUN\n")
    assert problems(made) == [
        "/predictions/pawsx/test-en.tsv: must have 4 lines, as /labels/pawsx/test-en.tsv has, was 3",
        (
            "/predictions/xnli/test-en.tsv: line 3: must be one of entailment neutral contradiction, was '2'"
            " (see /labels/xnli/test-en.tsv)"
        ),
        "/predictions/xnli/test-sw.tsv: must be there, since /labels/xnli/test-sw.tsv is",
        "/predictions/udpos/test-en.tsv: line 2: must be UTF-8, was not",
        (
            "/predictions/panx/test-en.tsv: line 6: must be an empty line between sentences, was 'O'"
            " (see /labels/panx/test-en.tsv)"
        ),
        "/predictions/xquad/test-en.json: id other: must be a question of /labels/xquad/test-en.json: no id is",
        "/predictions/mlqa/test-de.json: question m1: must have a text, was 3",
        "/predictions/mlqa/test-en.json: line 2: must be JSON: Expecting value",
        "/predictions/bucc2018/test-de.tsv: line 2: must be two ids with a tab between, was 'de-2 en-2'",
        (
            "/predictions/tatoeba/test-de.tsv: line 3: must be an index, 0 or greater, was 'x'"
            " (see /labels/tatoeba/test-de.tsv)"
        ),
    ]


def test_wrong_labels_are_named_too(made):
    (made / "labels/xnli/test-en.tsv").write_text("")
    (made / "predictions/xnli/test-en.tsv").write_text("")
    (made / "labels/mlqa/test-en.json").write_text('{"data": [{"paragraphs": 1}]}')
    first, second = problems(made)
    assert first == "/labels/xnli/test-en.tsv: must hold labels, was empty"
    assert second.startswith("/labels/mlqa/test-en.json: must be in SQuAD's form")


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ([{"id": "1", "answers": []}, {"id": "1", "answers": []}], "question 1: must stand there once"),
        ([{"id": 1, "answers": []}], "id and text must be strings, were 1, []"),
        ([{"id": "1", "answers": [{"text": None}]}], "were '1', [None]"),
        ([{"id": "1"}], "'answers'"),
    ],
)
def test_gold_questions_that_cannot_be_scored(tmp_path, questions, said):
    path = tmp_path / "test-en.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"qas": questions}]}]}))
    with pytest.raises(DataError) as raised:
        read_gold(path, Metric.SQUAD)
    assert said in str(raised.value)


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.SQUAD])
def test_what_is_no_file_is_named(tmp_path, metric):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="must be a file that can be read"):
            read_predictions(path, metric)


def test_folders_without_tasks_are_errors(tmp_path):
    with pytest.raises(DataError, match="must hold a folder of pawsx"):
        score_submission(tmp_path, tmp_path)
    result = run("--predictions", tmp_path / "nowhere", "--labels", tmp_path)
    assert result.exit_code == 64
    assert "nowhere: must be a folder" in result.stderr


def test_unknown_folders_are_passed_over_and_named(made):
    (made / "predictions/mewslix").mkdir()
    shutil.rmtree(made / "labels/tatoeba")
    notes = score_submission(made / "predictions", made / "labels").notes
    assert any("mewslix: not one of XTREME's nine tasks" in note for note in notes)
    assert any("tatoeba: not scored" in note for note in notes)


@given(data=st.data())
def test_what_is_written_is_read_back(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("written")
    labels = data.draw(st.lists(words, min_size=1))
    tags = data.draw(st.lists(st.lists(words, min_size=1), min_size=1))
    found = data.draw(st.sets(st.tuples(words, words)))
    answers = data.draw(st.dictionaries(words, st.text()))
    for metric, predicted in (
        (Metric.ACCURACY, labels),
        (Metric.TAGGING_F1, tags),
        (Metric.MINING_F1, found),
        (Metric.SQUAD, answers),
    ):
        path = write_predictions(folder, "task", "en", metric, predicted)
        assert path == submission_path(folder, "task", "en", metric)
        assert read_predictions(path, metric) == predicted


@pytest.mark.parametrize(
    ("metric", "predicted"),
    [
        (Metric.ACCURACY, ["neutral", ""]),
        (Metric.TAGGING_F1, [["O"], []]),
        (Metric.MINING_F1, {("de-1\n", "en-1")}),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, metric, predicted):
    with pytest.raises(ValueError):
        write_predictions(tmp_path, "task", "en", metric, predicted)


def test_a_written_submission_scores_as_its_predictions(tmp_path):
    for name, entry in TASKS.items():
        metric = entry.task.metric
        for language in entry.languages:
            guess = submission_path(MADE / "predictions", name, language, metric)
            if guess.exists():
                write_predictions(tmp_path, name, language, metric, read_predictions(guess, metric))
    assert score_submission(tmp_path, MADE / "labels").tasks == (
        score_submission(MADE / "predictions", MADE / "labels").tasks
    )


def test_indices_are_written_as_numbers(tmp_path):
    path = write_predictions(tmp_path, "tatoeba", "sw", Metric.ACCURACY, [3, 0])
    assert path.read_text() == "3\n0\n"
    assert score(Metric.ACCURACY, ["3", "0"], read_predictions(path, Metric.ACCURACY), "sw") == {
        "accuracy": 100
    }
