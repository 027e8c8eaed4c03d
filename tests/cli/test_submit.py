"""`xstilts submit` against an API server that keeps what it is given: what commands have set of an experiment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Invoke

Object = dict[str, Any]
COLLECTION = "/apis/xstilts.dev/v1alpha1/namespaces/team/transferexperiments"
SPEC: Object = {
    "models": [{"name": "base", "pretrained": "FacebookAI/xlm-roberta-base"}],
    "targets": [{"task": "xnli"}],
    "seeds": [1],
}


@pytest.fixture
def reads() -> list[str]:
    """The paths that the cluster was asked for, in order."""
    return []


@pytest.fixture
def spec(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> Iterator[Object]:
    """The spec of the experiment `mine` on the cluster of the current context, as it stands."""
    there = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": "mine", "namespace": "team", "uid": "0"},
        "spec": dict(SPEC),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reads.append(self.path)
            self.answer(there if self.path == f"{COLLECTION}/mine" else {"items": []})

        def do_PUT(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("?dryRun=All"):
                there["spec"].clear()
                there["spec"].update(given["spec"])
            self.answer(given)

        def answer(self, content: Object) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        named = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "team"}}
        settings = {
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [named],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield there["spec"]
        server.shutdown()


def write(**more: object) -> Path:
    file = Path("mine.yaml")
    manifest = {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": "mine"},
        "spec": SPEC | more,
    }
    file.write_text(yaml.safe_dump(manifest))
    return file


SET = {"suspend": True, "retryFailedAt": "2026-01-01T00:00:00Z"}
SUSPENDED = "  it is suspended: `xstilts resume mine --cluster -n team` continues it"


def test_a_file_is_unchanged_whatever_commands_have_set(invoke: Invoke, spec: Object) -> None:
    spec.update(SET)
    done = invoke("submit", write(), "--yes")
    assert (done.exit_code, done.stdout) == (0, "mine (cluster test, namespace team): unchanged\n")
    assert done.stderr.splitlines() == [SUSPENDED]


def test_what_is_there_is_read_once(invoke: Invoke, spec: Object, reads: list[str]) -> None:
    assert invoke("submit", write(), "--yes").exit_code == 0
    assert reads.count(f"{COLLECTION}/mine") == 1


def test_an_edit_keeps_what_commands_have_set(invoke: Invoke, spec: Object) -> None:
    spec.update(SET)
    done = invoke("submit", write(parallelism=3), "--yes", "--edit")
    assert done.stdout.startswith("mine (cluster test, namespace team): changed\n"), done.output
    assert spec == SPEC | SET | {"parallelism": 3}
    assert done.stderr.splitlines()[-1] == SUSPENDED


def test_what_the_file_names_holds(invoke: Invoke, spec: Object) -> None:
    spec.update(SET)
    other = invoke("submit", write(suspend=False), "--yes")
    assert other.exit_code == 64
    assert "or come with --edit" in other.stderr
    done = invoke("submit", write(suspend=False), "--yes", "--edit")
    assert done.exit_code == 0, done.output
    assert spec == SPEC | SET | {"suspend": False}
    assert "it is suspended" not in done.stderr


@pytest.mark.parametrize(
    ("resources", "own", "words"),
    [
        ({}, None, "CPUs alone"),
        ({"gpus": 1}, None, "1 GPU a training"),
        ({"gpus": 2, "nodes": 2}, None, "4 GPUs a training"),
        ({"gpus": 1}, {"gpus": 2}, "1 to 2 GPUs a training"),
        ({}, {"gpus": 1}, "0 to 1 GPU a training"),
        ({"gpus": 1}, {"gpus": 1, "nodes": 3}, "1 to 3 GPUs a training"),
    ],
)
def test_it_says_how_many_gpus_a_training_has(
    invoke: Invoke, spec: Object, resources: Object, own: Object | None, words: str
) -> None:
    models = [*SPEC["models"], {"name": "large", "pretrained": "FacebookAI/xlm-roberta-large"}]
    if own:
        models[1]["stageResources"] = own
    done = invoke("submit", write(models=models, resources=resources), "--edit")
    assert f"at once as are ready, {words}, no budget" in done.stderr
