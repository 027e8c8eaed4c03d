"""`xstilts plan`: what people and programs see."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.plan import plan
from xstilts.stage import Kind
from xstilts.store import Store


@pytest.fixture
def file(tmp_path, make):
    path = tmp_path / "experiment.yaml"
    path.write_text(json.dumps(make().model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return path


@pytest.fixture
def show(file, tmp_path):
    def run(*options):
        ended = CliRunner().invoke(app, ["plan", str(file), "--store", str(tmp_path / "store"), *options])
        assert ended.exit_code == 0, ended.output
        return ended.output

    return run


def test_the_text_says_what_is_trained_and_what_sharing_saves(show):
    text = show()
    assert "grid: 2 models x 3 intermediates x 4 targets x 2 seeds = 48 cells" in text
    rows = {line[:22].strip(): line[22:].split() for line in text.splitlines()[2:8]}
    assert rows["intermediate models"] == ["8", "0", "32", "24"]
    assert rows["target models"] == ["24", "0", "36", "12"]
    assert "small  squad -> mlqa, xquad  lr 5e-5  x 2 seeds" in text


def test_preparations_that_differ_in_the_language_are_counted_as_languages(repository, tmp_path):
    file = repository / "examples" / "xlmr-size-xnli.yaml"
    shown = CliRunner().invoke(app, ["plan", str(file), "--store", str(tmp_path / "store")]).output
    [corpus] = [line for line in shown.splitlines() if "wikimedia/wikipedia" in line and "data " in line]
    assert corpus.endswith("  x 15 languages")


def test_the_rates_of_a_sweep_share_a_line(repository, tmp_path):
    file = repository / "examples" / "mt5-size-xnli.yaml"
    shown = (
        CliRunner().invoke(app, ["plan", str(file), "--store", str(tmp_path / "store")]).output.splitlines()
    )
    assert "  mt5-base  squad  lr 0.0005, 0.001, 0.002  x 5 seeds" in shown
    assert "  mt5-base  none -> xnli  lr 0.0005, 0.001, 0.002  x 5 seeds" in shown
    assert "  mt5-base  none -> tatoeba" in shown  # of no seed: nothing is trained


def test_the_json_holds_every_stage_and_its_cells(show, make):
    shown = json.loads(show("-o", "json"))
    planned = plan(make())
    assert [stage["key"] for stage in shown["stages"]] == [stage.key for stage in planned.stages]
    keys = {stage["key"] for stage in shown["stages"]}
    for stage in shown["stages"]:
        assert set(stage) == {"key", "kind", "parents", "labels", "cached", "unpinned"}
        assert set(stage["parents"]) <= keys
        assert stage["labels"]
    assert shown["counts"] == {
        kind.value: sum(stage["kind"] == kind for stage in shown["stages"]) for kind in Kind
    }
    assert shown["naive"] == {"train": 68, "evaluate": 48}
    assert {kind: shown["naive"][kind] - shown["counts"][kind] for kind in shown["naive"]} == shown["saved"]


def test_what_the_store_has_is_marked(show, make, tmp_path):
    planned = plan(make())
    (first, *_) = planned.of_kind(Kind.TRAIN)
    with Store.open(str(tmp_path / "store")).write(first.stage, {}) as draft:
        (draft.path / "training.json").write_text("{}", encoding="utf-8")
    shown = json.loads(show("-o", "json"))
    assert [stage["key"] for stage in shown["stages"] if stage["cached"]] == [first.key]
    assert "  1 cached" in show()
    assert not any(stage["cached"] for stage in json.loads(show("-o", "json", "-n", "elsewhere"))["stages"])


def test_planning_makes_no_store(show, tmp_path):
    show()
    assert not (tmp_path / "store").exists()


def test_what_has_no_commit_is_warned_of(file, make, show):
    models = [{"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}]
    experiment = make(models=models).model_dump(mode="json", exclude_none=True)
    file.write_text(json.dumps(experiment), encoding="utf-8")
    assert "warning: 1 source without a commit" in show()
    assert "FacebookAI/xlm-roberta-base*" in show()


def test_a_path_that_is_no_folder_is_an_error_and_no_traceback(file, make, base):
    models = base()["models"]
    models[0]["pretrained"] = "./model"
    experiment = make(models=models).model_dump(mode="json", exclude_none=True)
    file.write_text(json.dumps(experiment), encoding="utf-8")
    ended = CliRunner().invoke(app, ["plan", str(file)])
    assert ended.exit_code == 64
    assert "spec.models[0].pretrained: must be a folder, was './model'" in ended.output


def test_sources_without_a_commit_or_a_digest_are_warned_of_by_name(tmp_path):
    file = tmp_path / "open.yaml"
    file.write_text(
        """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: open}
spec:
  models: [{name: base, pretrained: FacebookAI/xlm-roberta-base}]
  tasks: [{name: own, type: Retrieval, languages: [de], data: store://rows}]
  targets: [{task: own}]
  seeds: [1]
""",
        encoding="utf-8",
    )
    ended = CliRunner().invoke(app, ["plan", str(file), "--store", str(tmp_path / "store")])
    (warning,) = (line for line in ended.stdout.splitlines() if line.startswith("warning: "))
    assert "2 sources" in warning
    assert ": FacebookAI/xlm-roberta-base, store://rows." in warning
