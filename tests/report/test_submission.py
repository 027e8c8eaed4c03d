"""A submission to XTREME is what its own scorer reads, and says what it lacks."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import StoreError
from xstilts.plan import plan
from xstilts.report.submission import write_submission
from xstilts.scoring import read_predictions, write_predictions
from xstilts.spec import load_experiment
from xstilts.stage import EvaluateSpec, Kind
from xstilts.store import Store
from xstilts.task import Metric

EXPERIMENT = """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made}
spec:
  models: [{name: e5, pretrained: intfloat/multilingual-e5-small}]
  tasks:
    - {name: own, type: Classification, labels: [a, b], languages: [en, de], data: "store://own@sha256:%s"}
    - {name: bucc2018, data: "store://bucc2018@sha256:%s"}
  intermediates: [{name: squad, tasks: [squad]}]
  targets: [{task: pawsx}, {task: own}, {task: bucc2018}]
  seeds: [1]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with the predictions of `none`, and nothing of squad."""
    folder = tmp_path_factory.mktemp("submission")
    file = folder / "made.yaml"
    file.write_text(EXPERIMENT % ("a" * 64, "b" * 64))
    planned = plan(load_experiment(file))
    store = Store.open(str(folder / "store"), "default")
    for stage in planned.of_kind(Kind.EVALUATE):
        if {cell.intermediate for cell in stage.labels} != {"none"}:
            continue
        with store.write(stage.stage, {}) as draft:
            scores = {}
            for data in EvaluateSpec.model_validate(stage.stage.spec).data:
                name, metric = data.task.name, data.task.metric
                for language in data.languages[:3]:
                    pairs = [("de-1", "en-1")] if metric is Metric.MINING_F1 else list(data.task.labels[:2])
                    write_predictions(draft.path / "predictions", name, language, metric, pairs)
                number = "f1" if metric is Metric.MINING_F1 else "accuracy"
                scores[name] = {number: dict.fromkeys(data.languages[:3], "50.0")}
            (draft.path / "scores.json").write_text(json.dumps(scores))
    return file, planned, store, folder


def test_the_folder_has_xtremes_tasks_and_the_record_what_it_lacks(made, tmp_path):
    _, planned, store, _ = made
    folder = tmp_path / "submission"
    found = write_submission(planned, store, "e5", "none", 1, folder)
    assert {path.name for path in folder.iterdir()} == {"pawsx", "bucc2018"}
    assert found.files["pawsx/test-de.tsv"] == 2
    assert read_predictions(folder / "pawsx" / "test-de.tsv", Metric.ACCURACY)
    assert found.missing_languages["pawsx"] == ("fr", "ja", "ko", "zh")
    assert "xnli" in found.missing_tasks
    assert found.not_test == ("bucc2018",)
    record = json.loads((tmp_path / "submission.json").read_text())
    assert record["complete"] is False
    (folder / "old").mkdir()
    write_submission(planned, store, "e5", "none", 1, folder)
    assert not (folder / "old").exists()


def test_what_is_not_there_is_named(made, tmp_path):
    _, planned, store, _ = made
    with pytest.raises(StoreError, match=r"must be one of e5/none/1, e5/squad/1, was e5/mnli/1"):
        write_submission(planned, store, "e5", "mnli", 1, tmp_path / "submission")
    with pytest.raises(StoreError, match="must have predictions"):
        write_submission(planned, store, "e5", "squad", 1, tmp_path / "submission")


def test_the_command_writes_report_tables_and_submission(made, tmp_path):
    file, _, _, folder = made
    arguments = ["report", str(file), "--store", str(folder / "store"), "--results", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--submission", "e5/none/1"])
    assert done.exit_code == 0, done.output
    assert "not all of XTREME: no xnli" in done.output
    assert "partial: " in done.output
    written = {path.name for path in (tmp_path / "made").iterdir()}
    assert {
        "report.html",
        "results.parquet",
        "tables.md",
        "tables.tex",
        "summary.csv",
        "submission",
    } <= written
    assert "Partial" in (tmp_path / "made" / "report.html").read_text()
    assert CliRunner().invoke(app, [*arguments, "--submission", "e5"]).exit_code == 64


def test_the_command_as_json(made, tmp_path):
    file, planned, _, folder = made
    arguments = [
        "report",
        str(file),
        "--store",
        str(folder / "store"),
        "--results",
        str(tmp_path),
        "-o",
        "json",
    ]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    document = json.loads(done.stdout)
    assert document["report"] == str(tmp_path / "made" / "report.html")
    assert set(document["files"]) == {str(path) for path in (tmp_path / "made").iterdir()}
    assert document["missing"] == len(planned.cells()) / 2
    assert document["submission"] is None
    with_one = CliRunner().invoke(app, [*arguments, "--submission", "e5/none/1"])
    record = json.loads((tmp_path / "made" / "submission.json").read_text())
    expected = {"folder": str(tmp_path / "made" / "submission"), **record}
    assert json.loads(with_one.stdout)["submission"] == expected
