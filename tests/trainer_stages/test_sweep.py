"""What begins from a sweep takes the training that is best on English dev, and records what it chose from."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial

import pytest

from xstilts.errors import SpecError
from xstilts.stage import EvaluateSpec, Kind, Stage, TrainSpec
from xstilts.task import TaskType
from xstilts_trainer.stages.sources import Candidate, Choice, fetch_sources


def test_after_a_sweep_the_best_on_dev_is_taken(bench):
    good, bad = (bench.train_stage(TaskType.CLASSIFICATION, learning_rate=rate) for rate in ("5e-3", "1e-6"))
    for stage in (good, bad):
        bench.run(stage)
    evaluate = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=good.key)
    swept = Stage(
        **{**evaluate.model_dump(by_alias=False), "parents": {"model.1e-6": bad.key, "model.5e-3": good.key}}
    )
    sources = fetch_sources(swept, EvaluateSpec.model_validate(swept.spec), bench.store)
    assert sources.model == bench.store.fetch(good.key)


def swept_by(bench, stage, *rates):
    """The stage with a training of each rate in the place of its model; the trainings are run."""
    trained = {rate: bench.train_stage(TaskType.CLASSIFICATION, learning_rate=rate) for rate in rates}
    for training in trained.values():
        bench.run(training)
    spec = {name: value for name, value in stage.spec.items() if name != "inputs"}
    inputs = {role: ref for role, ref in stage.spec["inputs"].items() if role != "model"}
    model = EvaluateSpec if stage.kind is Kind.EVALUATE else TrainSpec
    parents = {f"model.{rate}": training.key for rate, training in trained.items()}
    return trained, Stage.of(stage.kind, model.model_validate({**spec, "inputs": inputs}), parents)


@pytest.mark.parametrize("kind", ["evaluate", "train"])
def test_what_begins_from_a_sweep_records_the_choice_with_all_dev_scores(bench, kind):
    make = bench.evaluate_stage if kind == "evaluate" else partial(bench.train_stage, epochs=1)
    trained, stage = swept_by(bench, make(TaskType.CLASSIFICATION), "1e-6", "0.005", "0.05")
    folder = bench.run(stage)
    record = json.loads((folder / "selection.json").read_text())
    dev = {
        rate: json.loads((bench.store.fetch(one.key) / "dev.json").read_text())["score"]
        for rate, one in trained.items()
    }
    assert record == {
        "learningRate": "0.005",
        "candidates": [
            {"learningRate": rate, "dev": dev[rate], "stage": trained[rate].key}
            for rate in ("1e-6", "0.005", "0.05")
        ],
    }
    assert bench.store.lookup(stage.key).environment["sources"]["model.0.005"]


def test_without_a_sweep_there_is_no_choice_to_record(bench):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    assert not (bench.run(stage) / "selection.json").exists()


def test_of_equal_dev_scores_the_smallest_rate_is_taken():
    equal = {Decimal(rate): Candidate("key", "50.0") for rate in ("3e-5", "0.00001", "2e-5")}
    assert Choice.of(equal).learning_rate == Decimal("1e-5")


def test_a_training_without_a_dev_score_cannot_be_chosen_from(bench):
    stage = bench.evaluate_stage(TaskType.CLASSIFICATION)
    unselected = bench.train_stage(TaskType.CLASSIFICATION, epochs=1, select=False)
    bench.run(unselected)
    spec = EvaluateSpec.model_validate(stage.spec)
    with pytest.raises(SpecError, match=r"parents.model.5e-3: must have a dev score to be chosen by"):
        fetch_sources(Stage.of(Kind.EVALUATE, spec, {"model.5e-3": unselected.key}), spec, bench.store)
