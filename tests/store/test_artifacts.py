"""What a stage writes is found again, whole, in every kind of place; what is damaged is set aside and made again."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from xstilts.canonical import sha256_hex, tree_digest
from xstilts.errors import StoreError
from xstilts.stage import Stage
from xstilts.store import Manifest, Store
from xstilts.store.objects import Objects

from .conftest import make_place

FILES = {
    "scores.json": b"{}",
    "predictions/xnli/test-en.tsv": b"a\tb\n",
    "ünï *?[x]#%&+ .txt": b"",
    "weights": b"x" * 3000,
}


def save(store: Store, stage: Stage, files: dict[str, bytes] = FILES, **environment: object) -> Manifest:
    with store.write(stage, environment) as draft:
        for relative, content in files.items():
            path = draft.path / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return draft.manifest


def fail_halfway(folder: Path) -> None:
    (folder / "half").write_text("half")
    raise ZeroDivisionError


def content(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    return {relative: (folder / relative).read_bytes() for relative in manifest.files}


def test_a_written_artifact_is_found_and_read(store, stage):
    assert store.lookup(stage.key) is None
    manifest = save(store, stage, FILES, seconds=1.5)
    assert store.lookup(stage.key) == manifest
    assert content(store.fetch(stage.key), manifest) == FILES
    assert store.read_bytes(stage.key, "scores.json") == b"{}"
    assert list(store.keys()) == [stage.key]
    assert manifest.stage == stage
    assert manifest.environment == {"seconds": 1.5}
    assert manifest.outputs_digest == tree_digest({path: sha256_hex(text) for path, text in FILES.items()})


def test_the_layout_is_the_documented_one(place, store, stage):
    save(store, stage)
    stored = place.files(f"default/{stage.key}")
    document = json.loads(stored.pop("manifest.json"))
    assert stored == FILES
    assert document["schema"] == "xstilts.dev/manifest/v1"
    assert document["files"]["weights"] == {"sha256": sha256_hex(FILES["weights"]), "size": 3000}
    assert {"key", "kind", "stage", "outputsDigest", "environment", "createdAt"} <= document.keys()


def test_time_and_environment_are_no_part_of_the_outputs_digest(place, stage):
    first = save(place.store("one"), stage, FILES, host="a")
    second = save(place.store("two"), stage, FILES, host="b")
    assert first.outputs_digest == second.outputs_digest
    assert first.created_at != second.created_at


def test_namespaces_are_apart(place, stage):
    save(place.store("one"), stage)
    assert place.store("two").lookup(stage.key) is None


def test_what_is_missing_is_an_error_that_says_what_to_do(store, stage):
    with pytest.raises(StoreError, match=r"must be in the store, is not; run its stage again"):
        store.fetch(stage.key)
    save(store, stage)
    with pytest.raises(StoreError, match=r"nothing\.txt: must be in artifact"):
        store.read_bytes(stage.key, "nothing.txt")


def test_an_exception_leaves_no_artifact_and_no_draft(place, store, stage):
    with pytest.raises(ZeroDivisionError), store.write(stage, {}) as draft:
        fail_halfway(draft.path)
    assert store.lookup(stage.key) is None
    assert not draft.path.exists()
    assert place.files("default") == {}


def test_a_stage_that_writes_nothing_is_refused(store, stage):
    with pytest.raises(StoreError, match="must write at least one file"):
        save(store, stage, {})


def test_a_draft_has_no_manifest_before_its_end(store, stage):
    with store.write(stage, {}) as draft:
        (draft.path / "file").write_text("text")
        with pytest.raises(StoreError, match="must be finished first"):
            _ = draft.manifest


@pytest.mark.parametrize(
    "name", ["manifest.json", "set-aside.json", "back\\slash", "tab\there", "a?versionId=b"]
)
def test_names_that_cannot_be_stored_are_refused(store, stage, name):
    with pytest.raises(StoreError, match="must"):
        save(store, stage, {name: b"", "other": b""})
    assert store.lookup(stage.key) is None


def test_a_draft_holds_no_links(store, stage, tmp_path):
    with pytest.raises(StoreError, match="link: must be a file, is a link"), store.write(stage, {}) as draft:
        (draft.path / "link").symlink_to(tmp_path)
    assert store.lookup(stage.key) is None


def test_checkpoints_survive_a_failure_and_go_with_the_artifact(store, stage):
    folder = store.checkpoint_dir(stage.key)
    (folder / "step-10").write_text("state")
    with pytest.raises(ZeroDivisionError), store.write(stage, {}):
        raise ZeroDivisionError
    assert (store.checkpoint_dir(stage.key) / "step-10").read_text() == "state"
    save(store, stage)
    assert not folder.exists()


@pytest.mark.parametrize("copies", ["both", "here", "kept"])
def test_checkpoints_that_nobody_needs_stay_for_a_day_after_the_last_write(place, stage, copies):
    store = place.store()
    folder = store.checkpoint_dir(stage.key)
    (folder / "1.json").write_text("state")
    if copies != "here":
        store.keep_checkpoints(stage.key)
    if copies == "kept" and not place.root.startswith("/"):  # a folder has one copy
        shutil.rmtree(folder)
    now = datetime.now(UTC)
    assert store.unneeded([], [], now + timedelta(hours=23)) == []
    assert store.unneeded([stage.key], [], now + timedelta(hours=25)) == []
    (item,) = store.unneeded([], [], now + timedelta(hours=25))
    assert (item.kind, item.name, item.size) == ("checkpoint", stage.key, 5)
    store.discard(item)
    assert not folder.exists()
    assert place.files("default/checkpoints") == {}


def test_checkpoints_that_another_machine_writes_stay_whatever_lies_here(place, stage):
    store = place.store()
    folder = store.checkpoint_dir(stage.key)
    (folder / "1.json").write_text("state")
    store.keep_checkpoints(stage.key)
    for path in (folder / "1.json", folder):
        os.utime(path, (0, 0))
    now = datetime.now(UTC)
    assert [item.name for item in store.unneeded([], [], now + timedelta(days=2))] == [stage.key]
    only_copy = [stage.key] if place.root.startswith("/") else []
    assert [item.name for item in store.unneeded([], [], now)] == only_copy


def test_checkpoints_stay_where_nobody_knows_when_they_were_written(request, tmp_path, stage, monkeypatch):
    store = make_place(request, "memory", tmp_path).store()
    (store.checkpoint_dir(stage.key) / "1.json").write_text("state")
    store.keep_checkpoints(stage.key)
    monkeypatch.setattr(MemoryFileSystem, "modified", AbstractFileSystem.modified)
    assert store.unneeded([], [], datetime.now(UTC) + timedelta(days=1000)) == []


@pytest.mark.slow
def test_one_listing_tells_when_checkpoints_were_written(request, tmp_path, stage, monkeypatch):
    store = make_place(request, "s3", tmp_path).store()
    (store.checkpoint_dir(stage.key) / "1.json").write_text("state")
    store.keep_checkpoints(stage.key)
    monkeypatch.delattr(S3FileSystem, "modified")
    (item,) = store.unneeded([], [], datetime.now(UTC) + timedelta(days=2))
    assert item.name == stage.key


def test_checkpoints_follow_their_stage_to_another_machine(place, stage, tmp_path, monkeypatch):
    first = place.store()
    folder = first.checkpoint_dir(stage.key)
    for step in ("1", "2", "3"):
        (folder / f"{step}.safetensors").write_text(f"weights {step}")
        (folder / f"{step}.json").write_text(f"state {step}")
        for path in folder.glob("1.*") if step == "3" else ():
            path.unlink()
        first.keep_checkpoints(stage.key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other machine"))
    second = place.store()
    there = second.checkpoint_dir(stage.key)
    kept = {f"{step}.{name}" for step in "23" for name in ("json", "safetensors")}
    assert {path.name for path in there.iterdir()} == kept
    assert (there / "3.safetensors").read_text() == "weights 3"
    (there / "3.json").write_text("written again")
    second.keep_checkpoints(stage.key)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third machine"))
    assert (place.store().checkpoint_dir(stage.key) / "3.json").read_text() == "written again"
    save(second, stage)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fourth machine"))
    assert not list(place.store().checkpoint_dir(stage.key).iterdir())


def test_a_removed_artifact_is_gone(place, store, stage):
    save(store, stage)
    store.remove(stage.key)
    assert store.lookup(stage.key) is None
    assert not [path for path in place.files("default") if not path.startswith("locks/")]
    store.remove(stage.key)


def damages(key):
    def flip(place):
        path = f"default/{key}/weights"
        place.write(path, b"y" + FILES["weights"][1:])

    def truncate_manifest(place):
        path = f"default/{key}/manifest.json"
        place.write(path, place.files(f"default/{key}")["manifest.json"][:-20])

    return {
        "flipped": (flip, "weights has SHA-256"),
        "truncated": (
            lambda place: place.write(f"default/{key}/weights", b"x"),
            "weights: 1 bytes, its manifest says",
        ),
        "missing": (
            lambda place: place.delete(f"default/{key}/scores.json"),
            "scores.json: no file, its manifest says",
        ),
        "extra": (
            lambda place: place.write(f"default/{key}/train.de.jsonl", b"{}"),
            "train.de.jsonl: 2 bytes",
        ),
        "manifest": (truncate_manifest, "its manifest is not whole"),
    }


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "extra", "manifest"])
def test_a_damaged_artifact_is_set_aside_and_made_again(place, store, stage, how):
    save(store, stage)
    harm, reason = damages(stage.key)[how]
    harm(place)
    damaged = place.files(f"default/{stage.key}")
    if how != "flipped":  # a lookup reads no hashes
        assert store.lookup(stage.key) is None
    with pytest.raises(StoreError, match="was damaged and is set aside"):
        store.fetch(stage.key)
    assert store.lookup(stage.key) is None
    aside = {path.partition("/")[2]: text for path, text in place.set_aside().items()}
    assert reason in json.loads(aside.pop("set-aside.json"))["reason"]
    assert aside == damaged
    manifest = save(store, stage)
    assert content(store.fetch(stage.key), manifest) == FILES


def test_what_a_later_version_has_written_stays_where_it_is(place, store, stage, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.en.jsonl").write_text("{}")
    ref = store.put("rows", tmp_path / "rows")
    save(store, stage)
    for folder, schema in ((stage.key, "manifest"), (f"inputs/rows/{ref.digest}", "input")):
        path = f"default/{folder}/manifest.json"
        manifest = json.loads(place.files(f"default/{folder}")["manifest.json"])
        place.write(path, json.dumps({**manifest, "schema": f"xstilts.dev/{schema}/v12", "more": 1}).encode())
    before = place.files("default")
    for asked in (
        lambda: store.lookup(stage.key),
        lambda: store.fetch(stage.key),
        lambda: store.fetch_input(ref),
        lambda: store.put("rows", tmp_path / "rows"),
        lambda: save(store, stage),
        lambda: store.unneeded([], [], datetime.now(UTC)),
    ):
        with pytest.raises(StoreError, match=r"v1, was xstilts\.dev/.*/v12: a later version of xstilts"):
            asked()
    after = place.files("default")
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    assert all(path.startswith("locks/") for path in changed)


@pytest.mark.parametrize("how", ["truncated", "missing", "extra", "manifest"])
def test_writing_sets_aside_what_a_lookup_found_damaged(place, store, stage, how):
    save(store, stage)
    damages(stage.key)[how][0](place)
    manifest = save(store, stage)
    assert store.lookup(stage.key) == manifest
    assert content(store.fetch(stage.key), manifest) == FILES
    assert place.set_aside()


def test_leftovers_without_a_manifest_are_set_aside_by_the_writer_and_left_alone_by_readers(
    place, store, stage
):
    place.write(f"default/{stage.key}/weights", b"half")
    with pytest.raises(StoreError, match="is not"):
        store.fetch(stage.key)
    assert place.files(f"default/{stage.key}") == {"weights": b"half"}
    save(store, stage)
    assert b"half" in place.set_aside().values()
    assert store.lookup(stage.key) is not None


def test_a_flipped_bit_is_seen_when_one_file_is_read(place, store, stage):
    save(store, stage)
    place.write(f"default/{stage.key}/scores.json", b"[]")
    with pytest.raises(StoreError, match="was damaged and is set aside"):
        store.read_bytes(stage.key, "scores.json")
    assert store.lookup(stage.key) is None


def test_of_two_readers_one_makes_the_copy_and_the_other_waits(place, stage, monkeypatch):
    save(place.store(), stage)
    download = Objects.download
    downloads: list[str] = []

    def slowly(objects, path, target):
        downloads.append(path)
        time.sleep(0.1)
        download(objects, path, target)

    monkeypatch.setattr(Objects, "download", slowly)
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda store: store.fetch(stage.key), [place.store(), place.store()]))
    assert folders[0] == folders[1]
    assert len(downloads) == len(set(downloads))


def test_two_readers_of_a_damaged_artifact_set_it_aside_together(place, stage, monkeypatch):
    first, second = place.store(), place.store()
    save(first, stage)
    copy = Objects.copy

    def late(objects, source, target):
        monkeypatch.undo()
        first.set_aside(stage.key, "the first has seen it, too")
        copy(objects, source, target)

    monkeypatch.setattr(Objects, "copy", late)
    second.set_aside(stage.key, "the second has seen it")
    assert first.lookup(stage.key) is None
    aside = [path.partition("/")[2] for path in place.set_aside()]
    assert sorted(aside) == sorted([*FILES, "manifest.json", "set-aside.json"])


def test_a_file_that_goes_while_it_is_read_is_looked_for_again(place, stage, monkeypatch):
    store, other = place.store(), place.store()
    save(store, stage)
    read = type(store._backend).read

    def late(self, path):
        if path.endswith("scores.json"):
            monkeypatch.undo()
            other.set_aside(stage.key, "just now")
        return read(self, path)

    monkeypatch.setattr(type(store._backend), "read", late)
    with pytest.raises(
        StoreError, match=r"scores\.json: must be in artifact .*, is not; run its stage again"
    ):
        store.read_bytes(stage.key, "scores.json")


def test_another_stages_manifest_is_not_taken(place, store, stage):
    save(store, stage)
    other = "f" * 64
    for path, text in place.files(f"default/{stage.key}").items():
        place.write(f"default/{other}/{path}", text)
    assert store.lookup(other) is None


def test_hidden_files_are_no_content(place, store, stage):
    manifest = save(store, stage, {**FILES, ".DS_Store": b"junk", "a/.cache/x": b"junk"})
    assert manifest.files.keys() == FILES.keys()
    place.write(f"default/{stage.key}/.DS_Store", b"other junk")
    assert store.lookup(stage.key) == manifest


def test_the_first_of_two_equal_writers_stays(place, store, stage):
    first = save(store, stage, FILES, host="a")
    assert save(store, stage, FILES, host="b") == first
    assert place.set_aside() == {}


def test_the_first_of_two_different_writers_stays_and_the_other_is_set_aside(place, store, stage):
    first = save(store, stage)
    assert save(store, stage, {"weights": b"other"}) == first
    assert content(store.fetch(stage.key), first) == FILES
    assert b"other" in place.set_aside().values()
    assert any(b"other outputs" in text for text in place.set_aside().values())


def test_a_stage_is_set_aside_on_demand(place, store, stage):
    save(store, stage)
    store.set_aside(stage.key, "its numbers are doubted")
    assert store.lookup(stage.key) is None
    assert any(b"its numbers are doubted" in text for text in place.set_aside().values())
    store.set_aside(stage.key, "nothing there")
    assert not any(b"nothing there" in text for text in place.set_aside().values())


@pytest.mark.parametrize("key", ["", "..", "../" + "0" * 61, "A" * 64, "0" * 63, "0" * 64 + "\n", "inputs"])
def test_no_other_name_passes_for_a_key(store, key):
    for method in (store.lookup, store.fetch, store.remove, store.checkpoint_dir, store.lock):
        with pytest.raises(StoreError, match="must be 64 hexadecimal digits"):
            method(key)


@pytest.mark.parametrize("namespace", ["", "..", "a/b", "-a", "A", "a" * 64, "a\n"])
def test_no_other_name_passes_for_a_namespace(tmp_path, namespace):
    with pytest.raises(StoreError, match="namespace: must be"):
        Store.open(str(tmp_path), namespace)


def test_a_report_is_written_over_the_last_one_and_beside_everything_else(place):
    store = place.store("team")
    store.write_report("mt5-size", {"report.html": "first", "results.csv": "a,b"})
    store.write_report("mt5-size", {"report.html": "second", "results.csv": "a,b"})
    assert place.files("team/reports") == {
        "mt5-size/report.html": b"second",
        "mt5-size/results.csv": b"a,b",
    }
    assert not store.unneeded((), (), datetime.now(UTC))


@pytest.mark.parametrize(
    ("experiment", "file"), [("..", "report.html"), ("a/b", "x"), ("", "x"), ("e", "../x"), ("e", ".x")]
)
def test_a_report_stays_in_its_folder(experiment, file, place):
    with pytest.raises(StoreError, match="must be"):
        place.store("team").write_report(experiment, {file: "text"})
    assert not place.files()
