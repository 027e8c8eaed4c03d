"""A training that is continued, and one whose checkpoints are not."""

from __future__ import annotations

import pytest

from xstilts.task import TaskType
from xstilts_trainer.stages import run_stage, train

from .test_text_to_text import Interrupted


def interrupt(bench, stage, steps):
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, bench.store, Interrupted(steps))


def digest(bench, stage):
    bench.run(stage)
    return bench.store.lookup(stage.key).outputs_digest


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def other_version(monkeypatch):
    described = train.describe_environment()
    versions = {**described["versions"], "torch": "another"}
    monkeypatch.setattr(train, "describe_environment", lambda: {**described, "versions": versions})


def test_checkpoints_of_other_versions_make_room_for_those_of_this_one(
    bench, tiny_encoder, monkeypatch, capsys
):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=2)
    checkpoints = bench.store.checkpoint_dir(stage.key)
    for steps in (5, 1):  # two checkpoints, as many as are kept
        interrupt(bench, stage, steps)
    assert names(checkpoints)[::2] == ["00000005.json", "00000006.json"]
    other_version(monkeypatch)
    interrupt(bench, stage, 2)
    assert "training starts anew" in capsys.readouterr().err
    assert names(checkpoints) == ["00000002.json", "00000002.safetensors"]
    continued = digest(bench, stage)
    told = capsys.readouterr().err
    assert "training starts anew" not in told
    assert "continuing after step 2 of" in told
    undisturbed = type(bench)(bench.root / "undisturbed", tiny_encoder)
    assert undisturbed.train_stage(TaskType.CLASSIFICATION, epochs=2).key == stage.key
    assert digest(undisturbed, stage) == continued


def test_copies_of_checkpoints_that_are_not_continued_go_too(bench, monkeypatch):
    """Else another machine would recall them."""
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    checkpoints = bench.store.checkpoint_dir(stage.key)
    interrupt(bench, stage, 3)
    kept = []
    monkeypatch.setattr(type(bench.store), "keep_checkpoints", lambda *_: kept.append(names(checkpoints)))
    other_version(monkeypatch)
    bench.run(stage)
    assert kept == [[]]


def test_damaged_checkpoints_make_room_too(bench, capsys):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    checkpoints = bench.store.checkpoint_dir(stage.key)
    interrupt(bench, stage, 4)
    for weights in checkpoints.glob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-1])
    interrupt(bench, stage, 2)
    assert names(checkpoints) == ["00000002.json", "00000002.safetensors"]
    bench.run(stage)
    assert "continuing after step 2 of" in capsys.readouterr().err
