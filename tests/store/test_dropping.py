"""Weights are dropped and come back: the record stays, nothing counts as there that is not, and other weights are refused."""

from __future__ import annotations

import json

import pytest

from xstilts.errors import StoreError
from xstilts.store import Manifest, Store, Use
from xstilts.store.wanted import find, parse

WEIGHTS = {
    "encoder/model.safetensors": b"x" * 3000,
    "heads/xnli.safetensors": b"y" * 30,
}
FILES = {"dev.json": b'{"score": "71.0"}', "encoder/config.json": b"{}", **WEIGHTS}


def save(store: Store, stage, files=FILES) -> Manifest:
    with store.write(stage, {}) as draft:
        for relative, content in files.items():
            path = draft.path / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return draft.manifest


def test_what_was_dropped_counts_as_gone_and_its_record_stays(place, store, stage):
    manifest = save(store, stage)
    assert store.drop(stage.key) == 3030
    assert place.files(f"default/{stage.key}").keys() == (FILES.keys() - WEIGHTS.keys()) | {
        "manifest.json",
        "dropped.json",
    }
    assert store.lookup(stage.key) is None
    found = store.record(stage.key)
    assert (found.manifest, found.dropped, found.left) == (manifest, WEIGHTS.keys(), {})
    assert store.read_bytes(stage.key, "dev.json") == FILES["dev.json"]
    with pytest.raises(StoreError, match=r"dev\.jsonl: must be in artifact"):
        store.read_bytes(stage.key, "dev.jsonl")
    with pytest.raises(StoreError, match=r"model\.safetensors: must be in artifact"):
        store.read_bytes(stage.key, "encoder/model.safetensors")
    said = json.loads(place.files(f"default/{stage.key}")["dropped.json"])
    assert said["files"] == sorted(WEIGHTS)
    assert said["outputsDigest"] == manifest.outputs_digest
    assert store.drop(stage.key) == 0
    assert list(store.keys()) == [stage.key]
    assert place.set_aside() == {}


def test_who_asks_for_them_is_told_why_they_are_gone_and_how_they_come_back(store, stage):
    save(store, stage)
    store.drop(stage.key)
    for ask in (lambda: store.fetch(stage.key), lambda: find(store, parse(stage.key[:12]))):
        with pytest.raises(
            StoreError, match=rf"artifact {stage.key} must have its weights, has not: they were"
        ) as told:
            ask()
        assert "spec.store.keep" in str(told.value)
        assert "in another store" in str(told.value)


def test_they_come_back_from_a_run_with_the_same_outputs(place, store, stage):
    first = save(store, stage)
    store.drop(stage.key)
    assert save(store, stage) == first
    assert store.lookup(stage.key) == first
    folder = store.fetch(stage.key)
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert place.files(f"default/{stage.key}").keys() == FILES.keys() | {"manifest.json"}
    assert store.drop(stage.key) == 3030, "and may go again"
    assert place.set_aside() == {}


def test_another_outputs_digest_is_an_error_that_names_both(place, store, stage):
    first = save(store, stage)
    store.drop(stage.key)
    other = FILES | {"encoder/model.safetensors": b"z" * 3000}
    with pytest.raises(
        StoreError, match=f"must be {first.outputs_digest}, .* was [0-9a-f]{{64}}; what was made"
    ):
        save(store, stage, other)
    assert store.lookup(stage.key) is None
    assert store.record(stage.key).manifest == first
    aside = place.set_aside()
    assert any(path.endswith("encoder/model.safetensors") for path in aside)
    assert any(path.endswith("set-aside.json") for path in aside)
    assert save(store, stage) == first, "the right ones are still taken"


def test_a_drop_that_was_stopped_is_finished_the_next_time(place, store, stage):
    manifest = save(store, stage)
    store.drop(stage.key)
    for path, content in WEIGHTS.items():
        place.write(f"default/{stage.key}/{path}", content)
    found = store.record(stage.key)
    assert not found.whole
    assert found.left == {path: len(content) for path, content in WEIGHTS.items()}
    assert store.lookup(stage.key) is None, "what is marked is gone, be it deleted or not"
    assert store.drop(stage.key) == 3030
    assert store.record(stage.key).left == {}
    for path, content in WEIGHTS.items():
        place.write(f"default/{stage.key}/{path}", content)
    assert save(store, stage) == manifest, "or they come back over what was left"
    assert store.fetch(stage.key).is_dir()


def test_what_has_no_weights_stays_as_it_is(place, store, stage):
    manifest = save(store, stage, {"scores.json": b"{}"})
    assert store.drop(stage.key) == 0
    assert store.lookup(stage.key) == manifest
    assert "dropped.json" not in place.files(f"default/{stage.key}")
    assert store.drop("0" * 64) == 0
    with pytest.raises(StoreError, match="must be 64 hexadecimal digits"):
        store.drop("../other")


@pytest.mark.parametrize("damage", [b"", b"{}", b"another's", b"another digest", b"a foreign file"])
def test_a_mark_that_is_not_whole_is_damage(place, store, stage, damage):
    save(store, stage)
    store.drop(stage.key)
    mark = f"default/{stage.key}/dropped.json"
    said = json.loads(place.files(f"default/{stage.key}")["dropped.json"])
    if damage == b"another digest":
        damage = json.dumps(said | {"outputsDigest": "0" * 64}).encode()
    if damage == b"a foreign file":
        damage = json.dumps(said | {"files": ["../../other"]}).encode()
    place.write(mark, damage)
    assert store.record(stage.key) is None
    assert store.drop(stage.key) == 0
    with pytest.raises(StoreError, match=r"set aside \(its dropped\.json is"):
        store.fetch(stage.key)
    save(store, stage)
    assert store.lookup(stage.key) is not None


def test_what_else_is_missing_beside_dropped_weights_is_damage(place, store, stage):
    save(store, stage)
    store.drop(stage.key)
    place.delete(f"default/{stage.key}/dev.json")
    assert store.record(stage.key) is None
    with pytest.raises(StoreError, match=r"dev\.json: no file"):
        store.fetch(stage.key)


def test_weights_that_vanish_without_a_mark_are_damage(place, store, stage):
    save(store, stage)
    place.delete(f"default/{stage.key}/encoder/model.safetensors")
    assert store.record(stage.key) is None


def test_no_file_of_a_stage_may_have_the_marks_name(store, stage):
    with pytest.raises(StoreError, match="the store writes its own file"):
        save(store, stage, {"dropped.json": b"{}"})


def test_what_experiments_use_is_remembered_and_goes_with_gc(store, stage):
    one, two = (Use.of(name, "Scores", [stage]) for name in ("one", "two"))
    store.note_use(two)
    store.note_use(one)
    store.note_use(one)
    assert list(store.uses()) == [one, two]
    with pytest.raises(StoreError, match="must be an experiment's name"):
        store.note_use(Use.of("../one", "All", [stage]))
    now = None
    assert store.unneeded([], [], now) == []
    (item,) = store.unneeded([], [], now, {"one"})
    assert (item.kind, item.name) == ("experiment", "two")
    store.discard(item)
    assert list(store.uses()) == [one]
