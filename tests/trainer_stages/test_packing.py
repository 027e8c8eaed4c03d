"""The form of a training's batches: fixed before the first step, kept by its checkpoints, told by its manifest."""

from __future__ import annotations

import json

import pytest

from xstilts.task import TaskType
from xstilts_trainer.stages import run_stage, train
from xstilts_trainer.training.checkpoint import load_checkpoint

from .test_text_to_text import Interrupted

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


def packed_tasks(bench, stage) -> list[str]:
    return bench.store.lookup(stage.key).environment["packed"]


def record(bench, stage) -> dict:
    return json.loads((bench.store.fetch(stage.key) / "training.json").read_text())


def test_packed_batches_hold_the_same_examples(bench, tiny_encoder, monkeypatch):
    changes = {"epochs": 1, "dropout": "0", "learning_rate": "1e-4"}
    stage = bench.train_stage(TaskType.CLASSIFICATION, TaskType.SPAN_QA, **changes)
    bench.run(stage)
    packed = type(bench)(bench.root / "packed", tiny_encoder)
    assert packed.train_stage(TaskType.CLASSIFICATION, TaskType.SPAN_QA, **changes).key == stage.key
    monkeypatch.setattr(train, "pays_on", lambda _device: True)
    packed.run(stage)
    assert packed_tasks(bench, stage) == []
    assert packed_tasks(packed, stage) == ["colours", "find"]
    curves = [[float(part["mean"]) for part in record(one, stage)["loss"]] for one in (bench, packed)]
    assert curves[1] == pytest.approx(curves[0], abs=1e-4)
    assert float(record(packed, stage)["paddingShare"]) < float(record(bench, stage)["paddingShare"])


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_a_checkpoint_keeps_its_form_on_a_machine_that_would_choose_the_other(bench, monkeypatch, packed):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    monkeypatch.setattr(train, "pays_on", lambda _device: packed)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(2))
    assert load_checkpoint(bench.store.checkpoint_dir(stage.key)).state["packed"] is packed
    monkeypatch.setattr(train, "pays_on", lambda _device: not packed)
    bench.run(stage)
    assert packed_tasks(bench, stage) == (["colours"] if packed else [])
    assert (record(bench, stage)["paddingShare"] == "0.0000") == packed


def test_a_checkpoint_from_before_there_were_forms_is_padded(bench, monkeypatch):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(2))
    for path in bench.store.checkpoint_dir(stage.key).glob("*.json"):
        checkpoint = json.loads(path.read_text())
        del checkpoint["state"]["packed"]
        path.write_text(json.dumps(checkpoint))
    monkeypatch.setattr(train, "pays_on", lambda _device: True)
    bench.run(stage)
    assert packed_tasks(bench, stage) == []
