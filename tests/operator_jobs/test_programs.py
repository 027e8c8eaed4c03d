"""The programs of the CPU Jobs, as processes, on a real store with real manifests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from xstilts.stage import Kind, Stage
from xstilts.store import Store
from xstilts_operator.answers import LookupAnswer, ReportAnswer, read_answer
from xstilts_operator.jobs import indexes

pytestmark = pytest.mark.slow
PLAN = "grid-plan-0123"
PROGRAM = """
import importlib.abc, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"kopf", "kubernetes", "torch"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""


def run_program(program, folder, arguments, **environment):
    """Run a program where kopf, kubernetes and torch cannot be imported: its exit code and message."""
    message = folder / "message"
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"xstilts_operator.{program}", *map(str, arguments)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XSTILTS_PLAN": PLAN,
            "XSTILTS_STORE": str(folder / "store"),
            "XSTILTS_NAMESPACE": "team",
            "XSTILTS_RESULT": str(message),
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert message.is_file(), ended.stderr
    assert message.stat().st_size <= 4096
    return ended.returncode, message.read_text(encoding="utf-8")


def save(store, stage, scores):
    with store.write(stage, {"versions": {"xstilts": "test"}, "seconds": 1.5}) as draft:
        if stage.kind is Kind.EVALUATE:
            (draft.path / "scores.json").write_text(json.dumps(scores(stage)), encoding="utf-8")
        else:
            (draft.path / "weights").write_text(stage.key, encoding="utf-8")


def scores_of(stage):
    metrics = {"xnli": ("accuracy",), "xquad": ("exact_match", "f1", "extra")}
    return {
        data["task"]["name"]: {
            metric: dict.fromkeys(data["languages"], "51.23456789")
            for metric in metrics[data["task"]["name"]]
        }
        for data in stage.spec["data"]
    }


@pytest.fixture
def filled(tmp_path, accepted):
    """A plan in a file, its stages, and a store that holds two of three of them."""
    document = accepted(seeds=list(range(6)))
    plan = tmp_path / "plan.json.gz"
    plan.write_bytes(document.packed)
    store = Store.open(str(tmp_path / "store"), "team")
    stages = [Stage.model_validate_json(text) for text in document.texts().values()]
    held = [stage for number, stage in enumerate(stages) if number % 3]
    for stage in held:
        save(store, stage, scores_of)
    return document, plan, store, held


def look_up(document, plan, folder):
    """The answers of all indexes together."""
    number = indexes(document)
    assert number > 1
    found = {}
    for index in range(number):
        environment = {"XSTILTS_INDEX": str(index), "XSTILTS_INDEXES": str(number)}
        code, message = run_program("lookup", folder, [plan], **environment)
        assert code == 0, message
        answer = read_answer(LookupAnswer, message, PLAN)
        assert (answer.index, answer.error) == (index, None)
        part = answer.by_key(document.stages)
        assert len(part) == len(answer.found)
        assert not part.keys() & found.keys()
        found |= part
    return found


def test_a_lookup_finds_what_the_store_holds(filled, tmp_path):
    document, plan, store, held = filled
    found = look_up(document, plan, tmp_path)
    assert found.keys() == {stage.key for stage in held}
    for stage in held:
        if stage.kind is Kind.EVALUATE:
            assert found[stage.key].outputs_digest == store.lookup(stage.key).outputs_digest
            (scores,) = found[stage.key].scores.values()
            assert set(scores) in ({"accuracy"}, {"exact_match", "f1"})
            assert {value for values in scores.values() for value in values.values()} == {"51.23"}
        else:
            assert found[stage.key].model_dump(exclude_unset=True) == {}


def test_a_lookup_takes_nothing_that_is_damaged(filled, tmp_path):
    document, plan, _, held = filled
    evaluate = next(stage for stage in held if stage.kind is Kind.EVALUATE)
    scores = tmp_path / "store" / "team" / evaluate.key / "scores.json"
    scores.write_bytes(b"x" * scores.stat().st_size)  # the same size
    found = look_up(document, plan, tmp_path)
    assert found.keys() == {stage.key for stage in held} - {evaluate.key}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"XSTILTS_INDEX": "x", "XSTILTS_INDEXES": "1"}, "XSTILTS_INDEX"),
        ({"XSTILTS_INDEX": "0", "XSTILTS_INDEXES": "1", "XSTILTS_NAMESPACE": "../x"}, "namespace"),
    ],
)
def test_a_lookup_that_cannot_says_why(filled, tmp_path, environment, place):
    code, message = run_program("lookup", tmp_path, [filled[1]], **environment)
    assert code == 64
    assert read_answer(LookupAnswer, message, PLAN).error.field == place


def test_a_plan_that_cannot_be_read_is_told(tmp_path):
    plan = tmp_path / "plan.json.gz"
    plan.write_bytes(b"junk")
    code, message = run_program("lookup", tmp_path, [plan], XSTILTS_INDEX="0", XSTILTS_INDEXES="1")
    assert code == 64
    assert "must hold a plan" in read_answer(LookupAnswer, message, PLAN).error.message


def outputs_file(folder, store, held):
    outputs = {
        stage.key[:16]: store.lookup(stage.key).outputs_digest[:16]
        for stage in held
        if stage.kind is Kind.EVALUATE
    }
    path = folder / "OUTPUTS.json"
    path.write_text(json.dumps(outputs), encoding="utf-8")
    return path, outputs


def test_a_report_writes_the_page_and_the_tables(filled, tmp_path):
    _, plan, store, held = filled
    outputs, _ = outputs_file(tmp_path, store, held)
    code, message = run_program("report", tmp_path, [plan, outputs], XSTILTS_STARTED="2026-01-31T08:00:00Z")
    assert code == 0, message
    answer = read_answer(ReportAnswer, message, PLAN)
    assert (answer.path, answer.partial) == ("reports/grid/report.html", True)
    folder = tmp_path / "store" / "team" / "reports" / "grid"
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "51.2" in (folder / "report.html").read_text(encoding="utf-8")
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["partial"] is True
    assert (folder / "results.csv").read_text(encoding="utf-8").count("51.23456789") > 50


@pytest.mark.parametrize("difference", ["another digest", "gone"])
def test_a_report_fails_where_the_store_holds_something_else(filled, tmp_path, difference):
    _, plan, store, held = filled
    path, outputs = outputs_file(tmp_path, store, held)
    evaluate = next(stage for stage in held if stage.kind is Kind.EVALUATE)
    if difference == "gone":
        store.remove(evaluate.key)
    else:
        outputs[evaluate.key[:16]] = "0" * 16
        path.write_text(json.dumps(outputs), encoding="utf-8")
    code, message = run_program("report", tmp_path, [plan, path], XSTILTS_STARTED="2026-01-31T08:00:00Z")
    assert code == 64
    error = read_answer(ReportAnswer, message, PLAN).error
    assert "small" in error.field
    assert evaluate.key in error.message
    assert not (tmp_path / "store" / "team" / "reports").exists()


@pytest.fixture
def trained(filled):
    """Two trainings of the plan that the store holds, with weights."""
    _, _, store, held = filled
    found = [stage for stage in held if stage.kind is Kind.TRAIN][:2]
    for stage in found:
        store.remove(stage.key)
        with store.write(stage, {}) as draft:
            (draft.path / "model.safetensors").write_text(stage.key, encoding="utf-8")
            (draft.path / "dev.json").write_text('{"score": null}', encoding="utf-8")
    return found


def drops_file(folder, *prefixes):
    path = folder / "DROPS.json"
    path.write_text(json.dumps(prefixes), encoding="utf-8")
    return path


def test_a_report_drops_the_weights_that_it_is_given_and_a_lookup_tells(filled, trained, tmp_path):
    document, plan, store, held = filled
    outputs, _ = outputs_file(tmp_path, store, held)
    gone, there = trained
    others = store.record(next(one for one in held if one.kind is Kind.EVALUATE).key)
    drops = drops_file(tmp_path, gone.key[:16], others.manifest.key[:16], "f" * 16, "../../outside")
    code, message = run_program(
        "report", tmp_path, [plan, outputs, drops], XSTILTS_STARTED="2026-01-31T08:00:00Z"
    )
    assert code == 0, message
    assert read_answer(ReportAnswer, message, PLAN).path == "reports/grid/report.html"
    assert store.record(gone.key).dropped == {"model.safetensors"}
    assert store.lookup(gone.key) is None
    assert store.lookup(there.key) is not None
    assert store.record(others.manifest.key) == others
    found = look_up(document, plan, tmp_path)
    assert found.keys() == {stage.key for stage in held}
    assert [found[one.key].dropped for one in trained] == [True, False]


def test_a_report_does_not_fail_by_weights_that_cannot_be_dropped(filled, trained, tmp_path):
    _, plan, store, held = filled
    outputs, _ = outputs_file(tmp_path, store, held)
    (tmp_path / "store" / "team" / "locks").write_text("no folder", encoding="utf-8")
    drops = drops_file(tmp_path, *(one.key[:16] for one in trained))
    code, message = run_program(
        "report", tmp_path, [plan, outputs, drops], XSTILTS_STARTED="2026-01-31T08:00:00Z"
    )
    assert code == 0, message
    assert read_answer(ReportAnswer, message, PLAN).path == "reports/grid/report.html"
    assert all(store.lookup(one.key) for one in trained)


def test_sigterm_ends_a_program_that_has_no_default_action_for_it(tmp_path):
    """As the first process of a container, where a signal without a handler does nothing."""
    plan = tmp_path / "plan"
    os.mkfifo(plan)
    environment = {"XSTILTS_PLAN": PLAN, "XSTILTS_STORE": str(tmp_path), "XSTILTS_NAMESPACE": "team"}
    process = subprocess.Popen(
        [sys.executable, "-m", "xstilts_operator.lookup", plan],
        env={"PATH": os.environ["PATH"], **environment},
    )
    with plan.open("wb"):  # once the program reads it
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
