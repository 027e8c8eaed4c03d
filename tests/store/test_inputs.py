"""What people put: named by what it holds, put once, verified when read, and never from outside its folder."""

from __future__ import annotations

import json
import os
import string
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.canonical import sha256_hex, tree_digest
from xstilts.errors import StoreError
from xstilts.stage import InputRef
from xstilts.store import Store, Use, layout

FILES = {"train.en.jsonl": b'{"a": 1}\n', "deep/er/x": b"x" * 70_000, "ünï *?[x]#%&+ .txt": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "mine", FILES)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for relative, content in files.items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files.pop("manifest.json", None)
    return files


def test_an_input_is_named_by_what_it_holds(place, store, folder):
    ref = store.put("my-task", folder)
    assert ref == InputRef(name="my-task", digest=tree_digest({p: sha256_hex(c) for p, c in FILES.items()}))
    assert read(store.fetch_input(ref)) == FILES
    stored = place.files(f"default/inputs/my-task/{ref.digest}")
    document = json.loads(stored.pop("manifest.json"))
    assert stored == FILES
    assert document["outputsDigest"] == ref.digest


def test_putting_again_changes_nothing(place, store, folder):
    ref = store.put("my-task", folder)
    before = place.files("default/inputs")
    assert store.put("my-task", folder) == ref
    assert place.files("default/inputs") == before


def test_who_bears_one_mark_reads_one_input_whatever_is_put_meanwhile(store, folder):
    assert store.pinned("my-task", "unpinned:one/my-task") is None
    first = store.put("my-task", folder)
    assert store.pinned("my-task", "unpinned:one/my-task") == first
    (folder / "more").write_text("more")
    second = store.put("my-task", folder)
    assert store.pinned("my-task", "unpinned:one/my-task") == first
    assert store.pinned("my-task", "unpinned:two/my-task") == second
    assert list(store.inputs()) == sorted([first, second], key=lambda ref: ref.digest)
    with pytest.raises(StoreError):
        store.pinned("../my-task", "unpinned:one")


def test_a_changed_folder_is_another_input_beside_the_first(store, folder):
    first = store.put("my-task", folder)
    (folder / "train.en.jsonl").write_text("{}")
    second = store.put("my-task", folder)
    assert second != first
    assert read(store.fetch_input(first)) == FILES
    assert {ref.digest for ref in store.inputs()} == {first.digest, second.digest}
    assert store.latest("my-task") == second


def test_the_latest_is_what_was_put_last_be_it_new_or_not(store, folder):
    assert store.latest("my-task") is None
    first = store.put("my-task", folder)
    (folder / "train.en.jsonl").write_text("{}")
    store.put("my-task", folder)
    (folder / "train.en.jsonl").write_bytes(FILES["train.en.jsonl"])
    assert store.put("my-task", folder) == first == store.latest("my-task")


def test_the_same_folder_under_two_names_has_one_digest(store, folder):
    assert store.put("one", folder).digest == store.put("two", folder).digest


@pytest.mark.parametrize("harm", [b"", b'{"a": 2}\n'])
def test_a_damaged_input_is_set_aside_and_mended_by_putting_it_again(place, store, folder, harm):
    ref = store.put("my-task", folder)
    place.write(f"default/inputs/my-task/{ref.digest}/train.en.jsonl", harm)
    with pytest.raises(
        StoreError, match=r"was damaged and is set aside .* put it with `xstilts put my-task FOLDER`"
    ):
        store.fetch_input(ref)
    assert harm in place.set_aside().values()
    with pytest.raises(StoreError, match="must be in the store, is not"):
        store.fetch_input(ref)
    assert store.put("my-task", folder) == ref
    assert read(store.fetch_input(ref)) == FILES


@pytest.mark.parametrize("place", ["memory", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
def test_a_cached_copy_that_was_changed_is_fetched_anew(place, store, folder, tmp_path):
    ref = store.put("my-task", folder)
    copy = store.fetch_input(ref)
    assert copy.is_relative_to(tmp_path / "cache")
    (copy / "train.en.jsonl").write_bytes(b'{"a": 2}\n')
    assert read(store.fetch_input(ref)) == FILES
    assert place.set_aside() == {}


@pytest.mark.parametrize("place", ["folder"], indirect=True)
def test_what_a_mark_stands_for_outlasts_a_power_cut(store, folder, monkeypatch, tmp_path):
    """Its stages read one input, whatever is put later: the file is on the disk, and its name in the folder."""
    ref = store.put("my-task", folder)
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    assert store.pinned("my-task", "unpinned:mark") == ref
    (pin,) = (tmp_path / "store/default/inputs/my-task/pins").iterdir()
    assert synced == [pin.stat().st_ino, pin.parent.stat().st_ino]


@pytest.mark.parametrize("place", [pytest.param("s3", marks=pytest.mark.slow)], indirect=True)
def test_objects_that_stand_for_folders_do_not_count(place, store, folder):
    """Consoles and some other tools make them: their names end with a slash."""
    ref = store.put("my-task", folder)
    client, base = fsspec.url_to_fs(place.root)
    bucket, _, prefix = base.partition("/")
    for path in ("", "default/", "default/inputs/", "default/uses/", f"default/inputs/my-task/{ref.digest}/"):
        client.call_s3("put_object", Bucket=bucket, Key=f"{prefix}/{path}", Body=b"")
    again = place.store()
    assert list(again.inputs()) == [ref]
    assert read(again.fetch_input(ref)) == FILES
    assert list(again.uses()) == []


def test_hidden_files_do_not_count(store, folder, tmp_path):
    ref = store.put("my-task", folder)
    fill(folder, {".DS_Store": b"", ".git/objects/a": b"", "deep/.cache/b": b"", "deep/Thumbs.db": b""})
    assert store.put("my-task", folder) == ref
    with pytest.raises(StoreError, match="must hold a file that is not hidden"):
        store.put("my-task", fill(tmp_path / "only-hidden", {".DS_Store": b""}))


def test_what_desktops_leave_in_a_store_is_nothing_of_it(place, store, folder):
    ref = store.put("my-task", folder)
    store.note_use(Use.of("mine", "All", []))
    store.pinned("my-task", "unpinned:mark")
    for there in (
        "",
        "inputs/",
        "inputs/my-task/",
        "inputs/my-task/pins/",
        "uses/",
        "set-aside/",
        "checkpoints/",
    ):
        place.write(f"default/{there}.DS_Store", b"")
    place.write("default/inputs/notes.txt", b"")
    assert list(store.keys()) == []
    assert list(store.inputs()) == [ref]
    assert [one for _, one in store.pins()] == [ref]
    assert [use.experiment for use in store.uses()] == ["mine"]
    assert store.unneeded([], [ref], datetime.now(UTC), {"mine"}) == []


def test_what_is_no_folder_is_refused(tmp_path, store, folder):
    (tmp_path / "empty" / "deeply").mkdir(parents=True)
    with pytest.raises(StoreError, match="must hold a file"):
        store.put("my-task", tmp_path / "empty")
    for path in (folder / "train.en.jsonl", tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="must be a folder"):
            store.put("my-task", path)


def test_links_are_followed_inside_the_folder_only(tmp_path, store, folder):
    (folder / "link").symlink_to("train.en.jsonl")
    ref = store.put("my-task", folder)
    assert read(store.fetch_input(ref)) == {**FILES, "link": FILES["train.en.jsonl"]}
    assert not (store.fetch_input(ref) / "link").is_symlink()
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    (folder / "broken").symlink_to("nothing")
    (folder / "itself").symlink_to("itself")
    os.mkfifo(folder / "pipe")
    with pytest.raises(StoreError) as caught:
        store.put("my-task", folder)
    said = {problem.field: problem.message for problem in caught.value.problems}
    assert said.keys() == {"out", "loop", "broken", "itself", "pipe"}
    assert "leads out of the folder" in said["out"]
    assert "must be a plain file" in said["pipe"]


def test_the_folder_itself_may_be_a_link(tmp_path, store, folder):
    (tmp_path / "link").symlink_to(folder)
    assert store.put("my-task", tmp_path / "link") == store.put("my-task", folder)


def test_names_that_are_no_utf8_are_refused(store, folder):
    (folder / os.fsdecode(b"caf\xe9")).write_text("")
    with pytest.raises(StoreError, match="must be UTF-8"):
        store.put("my-task", folder)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "-a", ".a", "a b", "a" * 129, "a\n", "ä", "a@b"]
)
def test_no_other_name_passes_for_an_input(store, folder, name):
    with pytest.raises(StoreError, match="name: must be"):
        store.put(name, folder)
    with pytest.raises(StoreError, match="name: must be"):
        store.fetch_input(InputRef(name=name, digest="0" * 64))


@pytest.mark.parametrize("digest", ["", "..", "0" * 63, "G" * 64, "A" * 64, f"{'0' * 61}/.."])
def test_no_other_text_passes_for_a_digest(store, digest):
    with pytest.raises(StoreError, match="digest: must be"):
        store.fetch_input(InputRef(name="my-task", digest=digest))


def test_a_manifest_that_names_files_outside_is_not_taken(place, store, folder):
    ref = store.put("my-task", folder)
    path = f"default/inputs/my-task/{ref.digest}/manifest.json"
    document = json.loads(place.files("default/inputs")[path.removeprefix("default/inputs/")])
    document["files"]["../../../../../etc/passwd"] = document["files"].pop("deep/er/x")
    document["outputsDigest"] = tree_digest({p: entry["sha256"] for p, entry in document["files"].items()})
    place.write(path, json.dumps(document).encode())
    with pytest.raises(StoreError, match="set aside"):
        store.fetch_input(ref)


names = st.text(st.sampled_from(string.printable + "äß語🎈\u0301\ud800"), min_size=1, max_size=12)


@given(st.lists(names, min_size=1, max_size=4).map("/".join))
def test_a_path_that_passes_stays_in_its_folder(path):
    if layout.path_problem(path) is None:
        inside = Path(os.path.normpath(Path("/root/ns/key") / path))
        assert inside.is_relative_to("/root/ns/key")
        assert inside.relative_to("/root/ns/key").as_posix() == path


@settings(max_examples=40)
@given(
    st.dictionaries(
        names.filter(lambda name: layout.path_problem(name) is None), st.binary(max_size=9), min_size=1
    )
)
def test_any_folder_comes_back_as_it_was_put(tmp_path_factory, files):
    files = {f"d/{name}" if index % 2 else name: text for index, (name, text) in enumerate(files.items())}
    files = {name: text for name, text in files.items() if not layout.is_hidden(name) and name != "d"}
    if files:
        here = tmp_path_factory.mktemp("any")
        store = Store.open(str(here / "store"))
        ref = store.put("any", fill(here / "folder", files))
        assert read(store.fetch_input(ref)) == files
        assert ref.digest == tree_digest({path: sha256_hex(text) for path, text in files.items()})
