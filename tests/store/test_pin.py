"""`xstilts pin`: commits of a hub (a small server that answers as the hub does) and digests of the store."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import SpecError, UnavailableError
from xstilts.hub import current_commit
from xstilts.pinning.edit import set_values
from xstilts.store import Store

COMMIT = "0123456789" * 4
FILE = """\
# An experiment with a bit of everything.
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: everything}   # not much
spec:
  models:
    - {name: flow, pretrained: FacebookAI/xlm-roberta-base}  # the base
    - name: block
      pretrained: "microsoft/mdeberta-v3-base"   # quoted
      # a comment that stays here

      prefix: ""
    - name: empty
      revision:
      pretrained: FacebookAI/xlm-roberta-large
    - {name: kept, pretrained: google-bert/bert-base-multilingual-cased, revision: "FFFF"}
    - {name: mine, pretrained: ./checkpoint, family: XLMR}
  tasks:
    - name: own
      type: Classification
      labels: ["a", "b"]
      languages: [en, de]
      data: store://own-rows  # put before
    - {name: other, type: SpanQA, languages: [de], data: 'store://rows@sha256:0000'}
  targets: [{task: own}, {task: other}, {task: pawsx}]
  seeds: [1]
# the end
""".replace("FFFF", "f" * 40).replace("0000", "0" * 64)


@dataclass
class Hub:
    """Answers `/api/{models,datasets}/ID/revision/BRANCH` with a commit, an error or nonsense, by id."""

    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            hub.requests.append((self.path, self.headers.get("Authorization")))
            repository = unquote(self.path).split("/revision/")[0].split("/", 3)[3]
            code, answer = hub.answers.get(repository, (200, {"sha": COMMIT}))
            self.send_response(code)
            if code in {307, 308}:
                self.send_header("Location", str(answer))
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    Path("everything.yaml").write_text(FILE)
    for folder, name in (("checkpoint", "model.safetensors"), ("rows", "test.de.jsonl")):
        Path(folder).mkdir()
        Path(folder, name).write_text(folder)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_pinning_fills_what_is_open_and_leaves_the_rest_as_it_stands(invoke, hub):
    rows = invoke("put", "own-rows", "rows").stdout.strip()
    other = invoke("put", "rows", "rows").stdout.strip()
    result = invoke("pin", "everything.yaml")
    assert result.exit_code == 0, result.output
    mine = str(Store.open(".xstilts/default").latest("mine"))
    expected = FILE
    for old, new in (
        ("xlm-roberta-base}", f'xlm-roberta-base, revision: "{COMMIT}"}}'),
        ("   # quoted", f'   # quoted\n      revision: "{COMMIT}"'),
        ("revision:\n", f'revision: "{COMMIT}"\n'),
        ("./checkpoint", f'"{mine}"'),
        ("store://own-rows ", f'"{rows}" '),
        (f"'store://rows@sha256:{'0' * 64}'", f"'{other}'"),
        ("  seeds: [1]", f'  seeds: [1]\n  dataRevisions:\n    google-research-datasets/paws-x: "{COMMIT}"'),
    ):
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    assert Path("everything.yaml").read_text() == expected
    assert f"spec.models[1].revision: {COMMIT} (microsoft/mdeberta-v3-base)" in result.stdout
    assert f"spec.tasks[0].data: {rows} (store://own-rows)" in result.stdout
    again = invoke("pin", "everything.yaml")
    assert (again.exit_code, again.stdout) == (0, "everything.yaml: everything is pinned\n")
    assert Path("everything.yaml").read_text() == expected


def test_check_changes_nothing_and_fails_while_something_is_open(invoke, hub):
    for name in ("own-rows", "rows"):
        invoke("put", name, "rows")
    before = sorted(Path().rglob("*"))
    result = invoke("pin", "--check", "everything.yaml")
    assert result.exit_code == 1
    assert "spec.models[0].revision: not pinned (FacebookAI/xlm-roberta-base)" in result.stdout
    assert "spec.models[4].pretrained: store://mine@sha256:" in result.stdout
    assert "google-research-datasets/paws-x" in result.stdout
    assert Path("everything.yaml").read_text() == FILE
    assert sorted(Path().rglob("*")) == before
    assert hub.requests == []
    invoke("pin", "everything.yaml")
    assert invoke("pin", "--check", "everything.yaml").exit_code == 0


def test_a_pin_follows_what_was_put_last(invoke, hub):
    for name in ("own-rows", "rows"):
        invoke("put", name, "rows")
    invoke("pin", "everything.yaml")
    Path("rows", "train.en.jsonl").write_text("{}")
    rows = invoke("put", "own-rows", "rows").stdout.strip()
    assert invoke("pin", "--check", "everything.yaml").exit_code == 1
    result = invoke("pin", "everything.yaml")
    assert result.stdout.startswith(f"spec.tasks[0].data: {rows} (store://own-rows@sha256:")
    assert yaml.safe_load(Path("everything.yaml").read_text())["spec"]["tasks"][0]["data"] == rows


def test_all_sources_that_are_not_there_are_named(invoke, hub):
    Path("checkpoint", "model.safetensors").unlink()
    Path("checkpoint").rmdir()
    result = invoke("pin", "everything.yaml")
    assert result.exit_code == 64
    assert "spec.models[4].pretrained: must be a folder, was './checkpoint'" in result.stderr
    assert (
        "spec.tasks[0].data: must be in the store, was 'store://own-rows'; `xstilts put own-rows DIR`"
        in result.stderr
    )
    assert Path("everything.yaml").read_text() == FILE


def test_two_sources_of_one_name_are_refused(invoke, hub):
    for name in ("own-rows", "rows"):
        invoke("put", name, "rows")
    text = FILE.replace("name: mine", "name: own").replace("store://own-rows", "./rows")
    Path("everything.yaml").write_text(text)
    result = invoke("pin", "everything.yaml")
    assert result.exit_code == 64
    assert "spec.tasks[0].data: must have a name of its own" in result.stderr


def test_a_file_that_is_wrong_stays_and_says_why(invoke, hub):
    for text in (
        "",
        "spec: [",
        FILE.replace("seeds: [1]", "seeds: []"),
        FILE.replace("{name: everything}", "{}"),
    ):
        invoke("put", "own-rows", "rows")
        Path("everything.yaml").write_text(text)
        result = invoke("pin", "everything.yaml")
        assert result.exit_code == 64
        assert result.stderr.startswith("error: ")
        assert Path("everything.yaml").read_text() == text
    assert hub.requests == []


def test_the_files_mode_and_links_stay(invoke, hub):
    for name in ("own-rows", "rows"):
        invoke("put", name, "rows")
    Path("everything.yaml").chmod(0o640)
    Path("link.yaml").symlink_to("everything.yaml")
    assert invoke("pin", "link.yaml").exit_code == 0
    assert Path("link.yaml").is_symlink()
    assert Path("everything.yaml").stat().st_mode & 0o777 == 0o640
    assert COMMIT in Path("everything.yaml").read_text()


def test_the_new_text_is_on_the_disk_before_it_takes_the_old_ones_place(invoke, hub, monkeypatch):
    for name in ("own-rows", "rows"):
        invoke("put", name, "rows")
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    assert invoke("pin", "everything.yaml").exit_code == 0
    assert Path("everything.yaml").stat().st_ino in synced


# The hub


def test_the_commit_of_a_branch_and_the_token(hub, monkeypatch):
    assert current_commit("datasets", "org/data", "refs/convert/parquet", "field") == COMMIT
    monkeypatch.setenv("HF_TOKEN", "secret\n")  # as a Secret that was made of a file has it
    assert current_commit("models", "org/model", "main", "field") == COMMIT
    assert hub.requests == [
        ("/api/datasets/org/data/revision/refs%2Fconvert%2Fparquet", None),
        ("/api/models/org/model/revision/main", "Bearer secret"),
    ]


def test_the_token_does_not_follow_to_another_address(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.answers["org/moved"] = (
        307,
        hub.url.replace("127.0.0.1", "localhost") + "/api/models/org/new/revision/main",
    )
    assert current_commit("models", "org/moved", "main", "field") == COMMIT
    assert [token for _, token in hub.requests] == ["Bearer secret", None]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (
            (404, {}),
            SpecError,
            "must be a repository of the hub, 'org/model' was not found; if it is private",
        ),
        ((401, {}), SpecError, "was not found"),
        ((403, {}), SpecError, "is gated: accept its terms"),
        ((500, {}), UnavailableError, "the hub answered 500; try again later"),
        ((200, b"<html>"), UnavailableError, "does not answer as the hub does"),
        ((200, {"sha": "main"}), UnavailableError, "does not answer as the hub does"),
        ((200, []), UnavailableError, "does not answer as the hub does"),
    ],
)
def test_every_failure_of_the_hub_is_a_sentence(hub, answer, error, words):
    hub.answers["org/model"] = answer
    with pytest.raises(error) as caught:
        current_commit("models", "org/model", "main", "spec.models[0].revision")
    assert words in str(caught.value)
    assert str(caught.value).startswith("spec.models[0].revision: ")


def test_a_hub_that_is_not_there(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UnavailableError, match=r"cannot be looked up at http://127\.0\.0\.1:9: .*; try again later"
    ):
        current_commit("models", "org/model", "main", "field")


@pytest.mark.parametrize("endpoint", ["file:///etc", "http://", "http://[::1", "http://hub:port", "hub"])
def test_an_address_of_the_hub_that_is_none(monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(SpecError, match="HF_ENDPOINT: must be an http"):
        current_commit("models", "org/model", "main", "field")


# Editing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: {b: 1}", 'a: {b: 1, key: "v"}'),
        ("a: {}  # none", 'a: {key: "v"}  # none'),
        ("a: {\n  b: 1,  # one\n}\n", 'a: {\n  b: 1, key: "v",  # one\n}\n'),
        ("a:\n  b: 1", 'a:\n  b: 1\n  key: "v"'),
        ("a:\r\n  b: 1\r\nc: 2\r\n", 'a:\r\n  b: 1\r\n  key: "v"\r\nc: 2\r\n'),
        ("a:\n  b: [1,\n   2] # two\n\n# end\n", 'a:\n  b: [1,\n   2] # two\n  key: "v"\n\n# end\n'),
        ("a:\n  key: |\n    old\n  b: 1\n", 'a:\n  key: "v"\n  b: 1\n'),
        ("a:\n  key: &k old\n  b: *k\n", None),  # b would change too
        ("a: {key: &k old}\nb: {c: 1}\n", 'a: {key: &k "v"}\nb: {c: 1}\n'),
        ("x: &x {key: old}\na: *x\n", 'x: &x {key: "v"}\na: *x\n'),
        ("x: &x {key: old}\na: {<<: *x}\n", None),
        ("ä: 🎈\na: {b: ü}", 'ä: 🎈\na: {b: ü, key: "v"}'),
    ],
)
def test_a_value_is_set_where_it_belongs(text, expected):
    if expected is None:
        with pytest.raises(SpecError, match=r"a\.key: must be set by hand"):
            set_values(text, {("a", "key"): "v"}, "file")
    else:
        assert set_values(text, {("a", "key"): "v"}, "file") == expected


plain = st.text("ab:#-é ", max_size=6) | st.integers() | st.none()
documents = st.dictionaries(
    st.text("abc", min_size=1),
    st.recursive(plain, lambda below: st.lists(below) | st.dictionaries(st.text("abc", min_size=1), below)),
)


@settings(max_examples=60)
@given(documents, st.sampled_from([True, False, None]), st.sampled_from(["", "# a comment: {\n", "\n\n"]))
def test_whatever_stands_around_a_value_stays(document, flow, tail):
    holder = {
        **document,
        "holder": {"before": document, "pretrained": "org/name", "after": document},
        "last": "x",
    }
    text = yaml.safe_dump(holder, allow_unicode=True, default_flow_style=flow, sort_keys=False) + tail
    edited = set_values(
        text, {("holder", "revision"): "1", ("holder", "pretrained"): "2", ("m",): {"x/y": "3"}}, "file"
    )
    holder["holder"] |= {"revision": "1", "pretrained": "2"}
    assert yaml.safe_load(edited) == {**holder, "m": {"x/y": "3"}}
    assert edited.endswith(tail)


def test_mappings_are_made_and_filled():
    made = set_values("a:\n  b: 1\n", {("a", "m"): {"x/y": "1", "z": "2"}}, "file")
    assert made == 'a:\n  b: 1\n  m:\n    x/y: "1"\n    z: "2"\n'
    assert set_values(made, {("a", "m"): {"w": "3"}}, "file") == f'{made}    w: "3"\n'
    assert set_values("a: {b: 1}", {("a", "m"): {"x": "1"}}, "file") == 'a: {b: 1, m: {x: "1"}}'
    assert set_values("a: {m: {}}", {("a", "m"): {"x": "1", "z": "2"}}, "file") == 'a: {m: {x: "1", z: "2"}}'
