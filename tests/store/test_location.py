"""Where the store is, `xstilts put`, and what people are told of a store that cannot be used."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from tests.store.conftest import s3_server
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import StoreError, UnavailableError
from xstilts.store import Store, store_root


def test_an_option_comes_before_the_environment_and_that_before_the_name(monkeypatch):
    monkeypatch.setenv("XSTILTS_STORE", "/environment")
    assert store_root("/option", "name") == "/option"
    assert store_root(None, "name") == "/environment"
    monkeypatch.delenv("XSTILTS_STORE")
    assert store_root(None, "name") == ".xstilts/name"
    assert store_root() == ".xstilts/default"


@pytest.mark.parametrize("name", ["..", "a/b", "", "A"])
def test_a_name_does_not_lead_out_of_the_folder(monkeypatch, name):
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    with pytest.raises(StoreError, match=r"spec\.store\.name: must be"):
        store_root(None, name)


def test_put_prints_the_name_of_what_was_put(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    Path("rows", "train.en.jsonl").write_text("{}")
    put = lambda *arguments: CliRunner().invoke(app, ["put", *arguments])  # noqa: E731 - a local shorthand
    first = put("my-rows", "rows", "--store", "store", "-n", "team")
    assert first.exit_code == 0, first.output
    assert first.stdout == f"{Store.open('store', 'team').latest('my-rows')}\n"
    assert (
        put("my-rows", "rows", "--store", "file://" + str(tmp_path / "store"), "-n", "team").stdout
        == first.stdout
    )
    monkeypatch.setenv("XSTILTS_STORE", "from-environment")
    assert put("my-rows", "rows").stdout == first.stdout
    assert Path("from-environment/default/inputs/my-rows").is_dir()
    bad = put("my rows", "rows")
    assert (bad.exit_code, bad.stdout) == (64, "")
    assert bad.stderr.startswith("error: name: must be 1 to 128 letters")
    assert put("my-rows", "nowhere").stderr.startswith("error: nowhere: must be a folder")


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("", "was empty"),
        ("nonsense://bucket", "a known protocol, nonsense:// cannot be used"),
        ("file.txt", "is a file"),
    ],
)
def test_a_root_that_is_none(tmp_path, monkeypatch, root, words):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("")
    with pytest.raises(StoreError, match=words):
        Store.open(root)


@pytest.mark.slow
def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(StoreError, match="store: must be in a bucket that is there, 'nowhere' is not"):
        Store.open("s3://nowhere/prefix")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "root"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "s3://artifacts"),
        ("AWS_ACCESS_KEY_ID", "", "s3://artifacts"),
    ],
)
def test_a_service_that_cannot_be_reached(s3, monkeypatch, variable, value, root):
    monkeypatch.setenv(variable, value)
    kept = fsspec.get_filesystem_class("s3")  # its instances know the environment of their making
    kept.clear_instance_cache()
    with pytest.raises(UnavailableError, match="store: must be reachable, s3://artifacts is not"):
        Store.open(root)
    kept.clear_instance_cache()


@pytest.mark.slow
def test_a_service_that_goes_away_in_the_middle(tmp_path, monkeypatch, stage):
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "train.en.jsonl").write_text("{}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    kept = fsspec.get_filesystem_class("s3")  # its instances know the environment of their making
    kept.clear_instance_cache()
    with s3_server(tmp_path) as server:
        store = Store.open("s3://artifacts")
        ref = store.put("rows", rows)
        with store.lock(stage.key):  # its release fails in silence
            server.kill()
            server.wait()
            for asked in (
                lambda: store.lookup(stage.key),
                lambda: list(store.keys()),
                lambda: store.latest("rows"),
                lambda: store.fetch_input(ref),
                lambda: store.put("rows", rows),
                lambda: store.remove(stage.key),
            ):
                with pytest.raises(UnavailableError, match="store: must be reachable, s3://artifacts is not"):
                    asked()
    kept.clear_instance_cache()


@pytest.mark.slow
def test_a_bucket_that_goes_away_in_the_middle(s3, stage):
    files = fsspec.filesystem("s3")
    files.mkdir("short-lived")
    store = Store.open("s3://short-lived")
    files.rmdir("short-lived")
    with (
        pytest.raises(UnavailableError, match=r"s3://short-lived is not: .*bucket does not exist"),
        store.write(stage, {}) as draft,
    ):
        (draft.path / "file").write_text("")


def test_the_home_of_nobody_is_no_store():
    with pytest.raises(StoreError, match=r"store: must be a folder, was '~nobody-here/store'"):
        Store.open("~nobody-here/store")
