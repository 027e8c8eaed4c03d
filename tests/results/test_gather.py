"""From artifacts in a store to rows, and the command that prints them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from xstilts.catalogue.overlap import TrainingOverlap
from xstilts.cli import app
from xstilts.plan import plan
from xstilts.results import Evaluation, combinations, gather, rows
from xstilts.spec import load_experiment
from xstilts.stage import EvaluateSpec, Family, Kind
from xstilts.store import Store

EXPERIMENT = """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made, namespace: team}
spec:
  models: [{name: e5, pretrained: intfloat/multilingual-e5-small}]
  intermediates:
    - {name: mnli-de, tasks: [mnli], translatedTo: [de]}
    - {name: squad, tasks: [squad]}
  targets: [{task: xnli}, {task: xquad}, {task: tatoeba}]
  seeds: [2, 1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def file(folder):
    path = folder / "made.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="module")
def experiment(file):
    return load_experiment(file)


@pytest.fixture(scope="module")
def store(folder):
    return Store.open(str(folder / "store"), "team")


def evaluate(store, stage, value: float):
    """Write an evaluate artifact in which every number is `value`, and English is 10 better."""
    scores, chance = {}, {}
    for data in EvaluateSpec.model_validate(stage.spec).data:
        names = {"xquad": ["f1", "exact_match"]}.get(data.task.name, ["accuracy"])
        numbers = {code: repr(value + 10 * (code == "en")) for code in data.languages}
        scores[data.task.name] = dict.fromkeys(names, numbers)
        if data.task.name != "xquad":
            chance[data.task.name] = dict.fromkeys(data.languages, "33.5")
    with store.write(stage, {}) as draft:
        (draft.path / "scores.json").write_text(json.dumps(scores))
        (draft.path / "chance.json").write_text(json.dumps(chance))


@pytest.fixture(scope="module")
def evaluated(experiment, store):
    """A store in which all evaluations are done but those of squad with seed 1."""
    planned = plan(experiment)
    for stage in planned.of_kind(Kind.EVALUATE):
        names = {(cell.intermediate, cell.seed) for cell in stage.labels}
        if names != {("squad", 1)}:
            evaluate(store, stage.stage, 50.0 + 5 * (("squad", 2) in names))
    return planned


def test_rows_are_tidy_and_in_the_files_order(evaluated, store):
    found = rows(evaluated, store)
    assert [row.target for row in found][:: len(found) - 1] == ["xnli", "tatoeba"]
    assert {(row.intermediate, row.seed) for row in found if row.target == "tatoeba"} == {
        ("none", None),  # nothing random decides what an untrained model retrieves
        ("mnli-de", 1),
        ("mnli-de", 2),
        ("squad", 2),
    }
    assert {row.metric for row in found if row.target == "xquad"} == {"exact_match", "f1"}
    assert len({row.language for row in found if row.target == "xnli"}) == 15


def test_gather_knows_what_is_missing(experiment, evaluated, store):
    results = gather(experiment, evaluated, store)
    assert results.partial
    assert set(results.missing) == {
        Evaluation("e5", "squad", target, 1) for target in ("xnli", "xquad", "tatoeba")
    }
    assert results.models == {"e5": Family.E5}
    assert results.intermediates == ("none", "mnli-de", "squad")
    assert results.untrained == ("tatoeba",)


def test_gather_brings_chance_and_relations(experiment, evaluated, store):
    table = {
        (row.intermediate, row.target): row for row in combinations(gather(experiment, evaluated, store))
    }
    assert table["none", "xnli"].chance == 33.5
    assert table["none", "xquad"].chance is None
    assert table["none", "xnli"].overlap is TrainingOverlap.NONE
    assert table["mnli-de", "xnli"].overlap is TrainingOverlap.SAME
    assert table["mnli-de", "xnli"].languages_seen == ("de",)
    assert table["mnli-de", "xquad"].overlap is TrainingOverlap.NONE
    assert table["squad", "xquad"].overlap is TrainingOverlap.SAME
    assert table["squad", "tatoeba"].delta.mean == pytest.approx(5.0)
    assert table["none", "xnli"].gap.mean == pytest.approx(10.0)


def test_clusters_that_all_evaluations_have_are_held_once(experiment, tmp_path):
    """Of 170 evaluations of XNLI in 15 languages they are half a gigabyte else."""
    planned, store = plan(experiment), Store.open(str(tmp_path), "team")
    clusters = list(range(300))  # beyond the small numbers that Python holds once itself
    for stage in planned.of_kind(Kind.EVALUATE):
        answers = {code: {"right": "101" * 100, "clusters": clusters} for code in ("de", "en")}
        with store.write(stage.stage, {}) as draft:
            (draft.path / "answers.json").write_text(json.dumps({"xnli": answers}))
    found = gather(experiment, planned, store).answers
    assert len(found) == 6
    of_all = [of.clusters for languages in found.values() for of in languages.values()]
    assert len({id(one) for one in of_all}) == 1
    assert of_all[0] == tuple(clusters)


def test_nothing_run_is_an_empty_partial_table(experiment, tmp_path):
    results = gather(experiment, plan(experiment), Store.open(str(tmp_path), "team"))
    assert results.rows == ()
    assert combinations(results) == []
    assert len(results.missing) == 18 - 1  # retrieval by the untrained model is one for both seeds


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "latex"])
def test_the_command_prints_every_form_the_same_each_time(file, evaluated, folder, form):
    arguments = ["results", str(file), "--store", str(folder / "store"), "-o", form]
    first, second = (CliRunner().invoke(app, arguments) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout
    assert "mnli-de" in first.stdout
    assert ("evaluations without scores: 3" in first.stdout) == (form in {"table", "markdown", "latex"})


def test_another_namespace_holds_other_results(file, evaluated, folder):
    arguments = ["results", str(file), "--store", str(folder / "store"), "-n", "elsewhere", "-o", "json"]
    document = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert document["scores"] == []
    assert document["partial"] is True
