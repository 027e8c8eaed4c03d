"""Checkpoints: whole or not there."""

from __future__ import annotations

import pytest
import torch

from xstilts_trainer.training.checkpoint import (
    Checkpoint,
    drop_checkpoints,
    load_checkpoint,
    save_checkpoint,
)


def checkpoint(step):
    return Checkpoint(step, {"w": torch.full((3,), float(step))}, {"losses": [0.1, 1 / 3]})


def test_what_is_saved_comes_back(tmp_path):
    save_checkpoint(tmp_path, checkpoint(5))
    found = load_checkpoint(tmp_path)
    assert found.step == 5
    assert torch.equal(found.tensors["w"], torch.full((3,), 5.0))
    assert found.state == {"losses": [0.1, 1 / 3]}


def test_the_last_two_are_kept(tmp_path):
    for step in (5, 90, 100, 1000):
        save_checkpoint(tmp_path, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000100.json",
        "00000100.safetensors",
        "00001000.json",
        "00001000.safetensors",
    ]


def test_none_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "gone", "no json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage):
    save_checkpoint(tmp_path, checkpoint(1))
    save_checkpoint(tmp_path, checkpoint(2))
    weights = tmp_path / "00000002.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "gone":
        weights.unlink()
    else:
        weights.with_suffix(".json").unlink()
    assert load_checkpoint(tmp_path).step == 1


def test_what_a_crash_left_half_written_is_not_a_checkpoint(tmp_path):
    (tmp_path / ".00000003.safetensors.tmp").write_bytes(b"half")
    (tmp_path / "00000003.safetensors").write_bytes(b"weights whose JSON was never written")
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, checkpoint(3))
    assert load_checkpoint(tmp_path).step == 3


def test_what_killed_saves_have_left_goes_with_the_next(tmp_path):
    """But for the batch whose loss was no number, which people look at."""
    left = (".00000003.safetensors.tmp", ".00000003.json.tmp", "00000003.safetensors")
    for name in (*left, "not-finite.safetensors"):
        (tmp_path / name).write_bytes(b"half")
    save_checkpoint(tmp_path, checkpoint(4))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000004.json",
        "00000004.safetensors",
        "not-finite.safetensors",
    ]


def test_all_can_be_dropped(tmp_path):
    assert not drop_checkpoints(tmp_path)
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    assert drop_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())
