"""`xstilts gc`: what no given experiment needs is listed, and removed on demand; nothing else ever is."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.local.inputs import pin_inputs
from xstilts.plan import plan
from xstilts.spec import load_experiment
from xstilts.store import Store

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


def run(file: str, store: Store) -> set[str]:
    """Leave what a run of the experiment leaves; its keys."""
    planned = plan(pin_inputs(load_experiment(Path(file)), Path(), store))
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


def test_checkpoints_go_when_nobody_needs_them_and_none_was_written_for_a_day(invoke):
    store = Store.open(STORE)
    needed = next(iter(run("one.yaml", store)))
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for key, old in ((needed, True), ("0" * 64, True), ("1" * 64, False)):
        folder = store.checkpoint_dir(key)
        (folder / "step").write_text("state")
        for path in (folder / "step", folder):
            if old:
                os.utime(path, (two_days_ago, two_days_ago))
    assert f"checkpoint        5 B  {'0' * 64}\n" in invoke("one.yaml", "--yes").stdout
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
