"""Checkpoints: whole or not there."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import save_file

from xstilts.errors import UnavailableError
from xstilts_trainer.training import checkpoint as checkpoints
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


@pytest.mark.parametrize("damage", ["cut", "gone", "no json", "empty json", "cut json", "other json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage):
    save_checkpoint(tmp_path, checkpoint(1))
    save_checkpoint(tmp_path, checkpoint(2))
    weights = tmp_path / "00000002.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "gone":
        weights.unlink()
    else:
        record = weights.with_suffix(".json")
        text = {"empty json": "", "cut json": record.read_text()[:-9], "other json": "[]"}.get(damage)
        record.unlink() if text is None else record.write_text(text)
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


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """No file takes more than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_is_said_and_holds_what_it_held(tmp_path):
    save_checkpoint(tmp_path, checkpoint(1))
    before = sorted(tmp_path.iterdir())
    large = Checkpoint(2, {"w": torch.zeros(100_000)}, {"losses": []})
    with (
        full_beyond(10_000),
        pytest.raises(UnavailableError, match="must take a checkpoint of 400,000 bytes"),
    ):
        save_checkpoint(tmp_path, large)
    assert sorted(tmp_path.iterdir()) == before
    assert load_checkpoint(tmp_path).step == 1


def test_what_a_killed_save_has_left_makes_room_before_the_next_is_written(tmp_path, monkeypatch):
    """Else it would fill the disk, whose lack of room it came of, for good."""
    left = tmp_path / ".00000003.safetensors.tmp"
    left.write_bytes(b"half")
    there = []

    def save(tensors, path):
        there.append(left.exists())
        save_file(tensors, path)

    monkeypatch.setattr(checkpoints, "save_file", save)
    save_checkpoint(tmp_path, checkpoint(4))
    assert there == [False]


def test_all_can_be_dropped(tmp_path):
    assert not drop_checkpoints(tmp_path)
    for step in (1, 2):
        save_checkpoint(tmp_path, checkpoint(step))
    assert drop_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())
