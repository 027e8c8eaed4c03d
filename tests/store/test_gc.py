"""`xstilts gc`: what no given experiment needs is listed, and removed on demand; nothing else ever is."""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.errors import UserError
from xstilts.local.inputs import pin_inputs
from xstilts.plan import plan
from xstilts.spec import load_experiment
from xstilts.stage import Kind
from xstilts.store import Store, garbage

FILE = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: %s}
spec:
  models: [{name: mine, pretrained: ./checkpoint, family: XLMR}]
  tasks: [{name: rows, type: Classification, labels: ["a", "b"], languages: [en], data: ./rows}]
  targets: [{task: rows}]
  seeds: [%s]
"""
STORE = ".xstilts/default"


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    for folder in ("checkpoint", "rows", "old-rows"):
        Path(folder).mkdir()
        Path(folder, "file").write_text(folder)
    Path("one.yaml").write_text(FILE.replace("%s", "one", 1).replace("%s", "1"))
    Path("two.yaml").write_text(FILE.replace("%s", "two", 1).replace("%s", "1, 2"))
    return lambda *arguments: CliRunner().invoke(app, ["gc", *arguments])


def run(file: str, store: Store, namespace: str | None = None) -> set[str]:
    """Leave what a run of the experiment leaves, in that namespace; its keys."""
    planned = plan(pin_inputs(load_experiment(Path(file)).in_namespace(namespace), Path(), store))
    for one in planned.stages:
        if store.lookup(one.key) is None:
            with store.write(one.stage, {}) as draft:
                (draft.path / "output").write_bytes(bytes(1000))
    return set(planned.by_key)


def everything(root: str = STORE) -> set[Path]:
    return {path for path in Path(root).rglob("*") if path.is_file() and "locks" not in path.parts}


def test_what_the_files_need_stays(invoke):
    store = Store.open(STORE)
    one, two = run("one.yaml", store), run("two.yaml", store)
    assert one & two, "they share a stage, or nothing is shown here"
    result = invoke("one.yaml", "two.yaml", "--yes")
    assert (result.exit_code, result.stdout) == (0, "everything in the store is needed\n")
    assert set(store.keys()) == one | two


def test_what_no_file_needs_is_listed_with_its_size_and_removed_with_yes_alone(invoke):
    store = Store.open(STORE)
    one, two = run("one.yaml", store), run("two.yaml", store)
    old = store.put("rows", Path("old-rows"))
    before = everything()
    listed = invoke("one.yaml")
    assert listed.exit_code == 0, listed.output
    assert everything() == before
    lines = listed.stdout.splitlines()
    assert len(lines) == len(two - one) + 2
    assert any(line.startswith("artifact ") and " kB  train " in line for line in lines)
    assert any(line.startswith("input ") and line.endswith(str(old)) for line in lines)
    assert lines[-1].startswith(f"not needed: {len(two - one) + 1} items, ")
    removed = invoke("one.yaml", "--yes")
    assert removed.stdout.splitlines()[:-1] == lines[:-1]
    assert set(store.keys()) == one
    assert all(store.lookup(key) for key in one)
    assert [ref.name for ref in store.inputs()] == ["mine", "rows"]
    assert invoke("one.yaml").stdout == "everything in the store is needed\n"


def test_what_was_set_aside_stays_for_a_week(invoke):
    store = Store.open(STORE)
    key = next(iter(run("one.yaml", store)))
    store.set_aside(key, "doubts")
    assert "set aside" not in invoke("one.yaml").stdout
    unneeded = store.unneeded([*store.keys()], [*store.inputs()], datetime.now(UTC) + timedelta(days=8))
    assert [item.kind for item in unneeded] == ["set aside"]
    store.discard(unneeded[0])
    assert not list(Path(STORE, "default/set-aside").iterdir())


def test_drafts_of_dead_processes_go_and_those_of_living_ones_stay(invoke, stage):
    store = Store.open(STORE)
    run("one.yaml", store)
    dead = Path(STORE, "default/drafts", "0" * 64 + ".dead")
    dead.mkdir()
    (dead / "half").write_bytes(bytes(5_000_000))
    with store.write(stage, {}) as draft:
        (draft.path / "file").write_text("text")
        result = invoke("one.yaml", "--yes")
        assert result.stdout.splitlines()[0] == f"draft            5 MB  {dead.name}"
        assert draft.path.is_dir()
    assert not list(Path(STORE, "default/drafts").iterdir())
    assert store.lookup(stage.key)


def test_two_may_remove_the_same_at_once(invoke):
    """What one has begun to remove is a draft of nobody for the other."""
    store, other = Store.open(STORE), Store.open(STORE)
    key = next(iter(run("one.yaml", store)))
    rmtree = shutil.rmtree
    with pytest.MonkeyPatch.context() as patch:

        def late(folder, **options):
            patch.undo()
            for item in other.unneeded([*other.keys()], [*other.inputs()], datetime.now(UTC)):
                other.discard(item)
            rmtree(folder, **options)

        patch.setattr(shutil, "rmtree", late)
        store.remove(key)
    assert key not in set(store.keys())
    assert not list(Path(STORE, "default/drafts").iterdir())


def test_what_another_removes_while_it_is_measured_is_no_error(invoke, monkeypatch):
    run("one.yaml", Store.open(STORE))
    draft = Path(STORE, "default/drafts/removed.1")
    draft.mkdir()
    (draft / "file").write_bytes(bytes(1000))
    files_below = garbage.files_below

    def late(folder):
        for path in files_below(folder):
            path.unlink()
            yield path

    monkeypatch.setattr(garbage, "files_below", late)
    assert invoke("one.yaml").stdout.splitlines()[0].split() == ["draft", "0", "B", "removed.1"]


def test_checkpoints_go_when_nobody_needs_them_and_none_was_written_for_a_day(invoke):
    store = Store.open(STORE)
    done, needed = list(run("one.yaml", store))[:2]
    store.remove(needed)  # it has still to run
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for key, old in ((done, True), (needed, True), ("0" * 64, True), ("1" * 64, False)):
        folder = store.checkpoint_dir(key)
        (folder / "step").write_text("state")
        for path in (folder / "step", folder):
            if old:
                os.utime(path, (two_days_ago, two_days_ago))
    listed = invoke("one.yaml", "--yes").stdout.splitlines()
    assert {f"checkpoint        5 B  {key}" for key in (done, "0" * 64)} < set(listed)
    assert {path.name for path in Path(STORE, "default/checkpoints").iterdir()} == {needed, "1" * 64}


def test_other_namespaces_and_stores_are_not_touched(invoke):
    other = Store.open(STORE, "other")
    run("two.yaml", other)
    before = everything()
    assert invoke("one.yaml", "--yes").stdout == "everything in the store is needed\n"
    assert everything() == before
    assert "not needed" in invoke("one.yaml", "-n", "other").stdout


def test_files_of_several_namespaces_are_refused(invoke):
    text = Path("two.yaml").read_text().replace("name: two", "name: two, namespace: other")
    Path("two.yaml").write_text(text)
    result = invoke("one.yaml", "two.yaml", "--yes")
    assert result.exit_code == 64
    assert (
        "two.yaml: must be of store .xstilts/default, namespace default, as the first file" in result.stderr
    )
    assert invoke("one.yaml", "two.yaml", "-n", "default").exit_code == 0


def test_a_file_that_is_wrong_stops_it_before_anything_is_removed(invoke):
    run("two.yaml", Store.open(STORE))
    before = everything()
    Path("bad.yaml").write_text("kind: Pod")
    assert invoke("one.yaml", "bad.yaml", "--yes").exit_code == 64
    assert everything() == before


def test_an_input_that_was_never_put_is_no_hindrance(invoke):
    text = Path("one.yaml").read_text().replace("./rows", "store://rows")
    Path("one.yaml").write_text(text)
    assert invoke("one.yaml").stdout == "everything in the store is needed\n"


UID = "unpinned:0f3a5b7c-0000-4000-8000-000000000001"
HUB = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: hub}
spec:
  models: [{name: mine, pretrained: FacebookAI/xlm-roberta-base}]
  tasks: [{name: rows, type: Classification, labels: ["a", "b"], languages: [en], data: "store://rows"}]
  targets: [{task: rows}]
  seeds: [1]
"""


@pytest.fixture
def on_cluster(invoke):
    """What an experiment of a cluster leaves that names a model without commit and rows without digest; its plan, what it read."""
    store = Store.open(STORE)
    Path("hub.yaml").write_text(HUB)
    read = store.put("rows", Path("rows"))
    planned = plan(load_experiment(Path("hub.yaml")), UID)
    for one in planned.stages:
        for name, reference in one.stage.spec.get("inputs", {}).items():
            assert store.pinned(reference["name"], reference["digest"]) == read, name
        if one.stage.kind is not Kind.REPORT:
            with store.write(one.stage, {}) as draft:
                (draft.path / "output").write_bytes(bytes(1000))
    store.put("rows", Path("old-rows"))  # newer than what it has read
    return planned, read


def test_what_a_cluster_may_need_and_no_file_leads_to_stays_and_is_told(invoke, on_cluster):
    store = Store.open(STORE)
    planned, read = on_cluster
    theirs = set(store.keys())
    assert theirs == {one.key for one in planned.stages if one.stage.kind is not Kind.REPORT}
    one = run("one.yaml", store)  # another experiment, of a machine
    store.put("rows", Path("old-rows"))
    (store.checkpoint_dir("0" * 64) / "step").write_text("state")
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in (store.checkpoint_dir("0" * 64) / "step", store.checkpoint_dir("0" * 64)):
        os.utime(path, (two_days_ago, two_days_ago))
    done = invoke("hub.yaml", "--yes")
    assert done.exit_code == 0, done.output
    assert set(store.keys()) == theirs, "the other experiment was not named, and goes"
    assert one.isdisjoint(theirs)
    assert read in set(store.inputs())
    assert store.checkpoint_dir("0" * 64).is_dir(), "it may be a training of the cluster's"
    assert f"kept: {len(theirs) + 2} items, " in done.stderr
    assert "--cluster asks it" in done.stderr


def test_what_rests_on_something_without_a_commit_stays_too(invoke):
    """The trainings name nothing unpinned themselves: their parent, the model, is."""
    store = Store.open(STORE)
    rows = store.put("rows", Path("rows"))
    Path("hub.yaml").write_text(HUB.replace("store://rows", str(rows)))
    theirs = plan(load_experiment(Path("hub.yaml")), UID).stages[:-1]
    for one in theirs:
        with store.write(one.stage, {}) as draft:
            (draft.path / "output").write_bytes(bytes(1000))
    assert "kept: 3 items, " in invoke("hub.yaml", "--yes").stderr
    assert set(store.keys()) == {one.key for one in theirs}


def test_an_unpinned_experiment_of_a_machine_that_is_not_named_goes(invoke):
    store = Store.open(STORE)
    Path("hub.yaml").write_text(HUB.replace('"store://rows"', "./rows"))
    hub = run("hub.yaml", store)
    one = run("one.yaml", store)
    assert hub - one
    done = invoke("one.yaml", "--yes")
    assert (set(store.keys()), done.stderr) == (one, "")


@pytest.mark.parametrize("said", ["", ", namespace: other"])
def test_an_unpinned_experiment_is_needed_in_the_namespace_that_it_was_run_in(invoke, said):
    """Its keys hold that namespace, whatever the file says."""
    store = Store.open(STORE, "team")
    text = HUB.replace('"store://rows"', "./rows").replace("name: hub", f"name: hub{said}")
    Path("hub.yaml").write_text(text)
    hub = run("hub.yaml", store, "team")
    done = invoke("hub.yaml", "-n", "team", "--yes")
    assert (done.exit_code, done.stdout) == (0, "everything in the store is needed\n")
    assert set(store.keys()) == hub


@pytest.fixture
def api_server(tmp_path, monkeypatch):
    """An API server that has the experiment of hub.yaml, which no operator has accepted yet."""
    collection = "/apis/xstilts.dev/v1alpha1/namespaces/default/transferexperiments"
    experiment = yaml.safe_load(HUB)
    experiment["metadata"] |= {"namespace": "default", "uid": UID.removeprefix("unpinned:")}
    objects = {collection: {"items": [experiment]}, f"{collection}/hub": experiment}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = objects.get(self.path)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(found or {"kind": "Status", "code": 404}).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        named = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}
        settings = {
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [named],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield objects
        server.shutdown()


def test_a_cluster_is_asked_which_experiments_it_has(invoke, on_cluster, api_server):
    store = Store.open(STORE)
    _, read = on_cluster
    gone = plan(load_experiment(Path("hub.yaml")), f"{UID[:-1]}2").stages[0].stage
    with store.write(gone, {}) as draft:
        (draft.path / "output").write_bytes(bytes(1000))
    before = set(store.keys())
    done = invoke("--cluster", "--yes")
    assert done.exit_code == 0, done.output
    assert before - set(store.keys()) == {gone.key}
    assert set(store.inputs()) == {read}, "the newer rows are read by nobody"
    assert done.stderr == ""


def test_nothing_goes_where_an_experiment_of_the_cluster_cannot_be_planned(invoke, on_cluster, api_server):
    next(one for path, one in api_server.items() if path.endswith("/hub"))["spec"]["targets"] = [
        {"task": "nothing"}
    ]
    before = everything()
    refused = invoke("--cluster", "--yes")
    assert isinstance(refused.exception, UserError) or refused.exit_code == 64, refused.output
    assert everything() == before


def test_without_a_file_and_a_cluster_nothing_is_taken_for_unneeded(invoke):
    run("one.yaml", Store.open(STORE))
    before = everything()
    refused = invoke("--yes")
    assert refused.exit_code == 64 or isinstance(refused.exception, UserError), refused.output
    assert everything() == before
