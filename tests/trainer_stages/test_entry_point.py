"""`python -m xstilts_trainer STAGE.json`: exit codes, results, and what a killed run leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from trainer_stages.conftest import make_data
from xstilts.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_INVALID
from xstilts.stage import RESULT_LIMIT, InputRef, Mixing, Result
from xstilts.store.folder import Folder
from xstilts.task import TaskType
from xstilts_trainer.entry import main
from xstilts_trainer.stages.encoder_head import HeadTraining
from xstilts_trainer.training import loop

pytestmark = pytest.mark.slow
MIX = (TaskType.CLASSIFICATION, TaskType.TAGGING)


class Entry:
    """The entry point with its environment, as the local executor and a Job set it."""

    def __init__(self, folder, store_root):
        self.stage_file = folder / "STAGE.json"
        self.result_file = folder / "result.json"
        self.progress_file = folder / "progress.jsonl"
        self.log_file = folder / "log.txt"
        self.environment = {
            "XSTILTS_STORE": str(store_root),
            "XSTILTS_RESULT": str(self.result_file),
            "XSTILTS_PROGRESS": str(self.progress_file),
            "OMP_NUM_THREADS": "1",
        }
        self.process = None

    def write(self, stage):
        self.stage_file.write_bytes(stage if isinstance(stage, bytes) else stage.to_json())

    def start(self, stage):
        """In a fork of this process: torch is imported already, which takes seconds."""
        self.write(stage)
        self.process = multiprocessing.get_context("fork").Process(target=self._main)
        self.process.start()
        return self.process

    def _main(self):
        os.environ.update(self.environment)
        with self.log_file.open("w") as sys.stderr:
            code = main([str(self.stage_file)], os.environ)
        os._exit(code)

    def run(self, stage):
        process = self.start(stage)
        process.join()
        return process.exitcode

    def run_python(self, stage, *arguments):
        """In a process of its own."""
        self.write(stage)
        return subprocess.run(
            [sys.executable, *arguments, str(self.stage_file)],
            env={**os.environ, **self.environment},
            check=False,
        ).returncode

    @property
    def result(self):
        assert self.result_file.stat().st_size <= RESULT_LIMIT
        return Result.model_validate_json(self.result_file.read_bytes())

    @property
    def log(self):
        return self.log_file.read_text()


@pytest.fixture
def entry(bench, tmp_path):
    entry = Entry(tmp_path, bench.root / "store")
    yield entry
    if entry.process is not None:
        entry.process.kill()
        entry.process.join()


def test_a_process_trains_and_tells(bench, entry):
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    assert entry.run_python(train, "-m", "xstilts_trainer") == 0
    assert entry.result.outputs_digest == bench.store.lookup(train.key).outputs_digest
    percents = [json.loads(line)["percent"] for line in entry.progress_file.read_text().splitlines()]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_a_signal_before_anything_is_imported_interrupts(bench, entry, tmp_path):
    """The first process of a container would not even hear it."""
    shadow, waiting = tmp_path / "shadow", tmp_path / "waiting"
    shadow.mkdir()
    (shadow / "pydantic.py").write_text(
        f"import pathlib, time; pathlib.Path({str(waiting)!r}).touch(); time.sleep(60)"
    )
    entry.write(bench.train_stage(TaskType.CLASSIFICATION))
    environment = {**os.environ, **entry.environment, "PYTHONPATH": str(shadow)}
    process = subprocess.Popen([sys.executable, "-m", "xstilts_trainer", entry.stage_file], env=environment)
    while not waiting.exists() and process.poll() is None:
        time.sleep(0.01)
    process.terminate()
    assert process.wait() == EXIT_INTERRUPTED


def test_what_is_done_is_told_without_torch(bench, entry):
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    evaluate = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=train.key)
    for stage in (train, evaluate):
        bench.run(stage)
    code = (
        "import os, sys; from xstilts_trainer.entry import main; code = main(sys.argv[1:], os.environ); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert entry.run_python(evaluate, "-c", code) == 0
    assert set(entry.result.scores["colours"]["accuracy"]) == {"de", "en"}


@pytest.mark.parametrize(
    ("damage", "place", "sentence"),
    [
        (lambda text: text.replace(b'"seed":1', b'"seed":2'), "key", "must be the digest"),
        (lambda text: text.replace(b"stage/v1", b"stage/v9"), "schema", "stage/v1"),
        (lambda _text: b"{", "", "JSON"),
    ],
    ids=["another seed", "another schema", "no JSON"],
)
def test_another_stage_than_the_key_says_is_refused(bench, entry, damage, place, sentence):
    assert entry.run(damage(bench.train_stage(TaskType.CLASSIFICATION).to_json())) == EXIT_INVALID
    assert entry.result.error.field == place
    assert sentence in entry.result.error.message
    assert "Traceback" not in entry.log


def test_a_bad_row_is_named(bench, entry, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for name in ("train", "validation"):
        rows = '{"text": "w1 red", "label": "red"}\n{"text": "w2", "label": "purple"}\n'
        (folder / f"{name}.en.jsonl").write_text(rows)
    stage = bench.train_stage(TaskType.CLASSIFICATION, data=bench.store.put("bad", folder))
    assert entry.run(stage) == EXIT_INVALID
    assert entry.result.error.field == "colours/train.en.jsonl: row 2, column label"
    assert '"purple"' in entry.result.error.message
    assert bench.store.lookup(stage.key) is None


def test_a_damaged_parent_is_set_aside_and_named_and_can_be_mended(bench, entry):
    """Nothing is wrong with the stage: once its parent has run again, it ends well."""
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    evaluate = bench.evaluate_stage(TaskType.CLASSIFICATION, parent=train.key)
    weights = next(bench.run(train).rglob("*.safetensors"))
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    for sentence in ("was damaged and is set aside", "must be in the store, is not"):
        assert entry.run(evaluate) == EXIT_FAILED
        assert (entry.result.error.field, entry.result.error.parent) == ("parents.model", train.key)
        assert sentence in entry.result.error.message
        assert "Traceback" not in entry.log
        assert bench.store.lookup(train.key) is None
    bench.run(train)
    assert entry.run(evaluate) == 0


def test_an_input_without_a_digest_is_what_was_put_last_when_first_read(bench, entry, tmp_path):
    mine = bench.data(TaskType.CLASSIFICATION)
    unpinned = InputRef(name=mine.name, digest=f"unpinned:some-uid/{mine.name}")
    train = bench.train_stage(TaskType.CLASSIFICATION, epochs=1, data=unpinned)
    bench.run(train)
    assert bench.store.lookup(train.key).environment["sources"]["data.colours"] == mine.digest
    other = bench.store.put(mine.name, make_data(tmp_path / "other", TaskType.CLASSIFICATION, train=8))
    again = bench.train_stage(TaskType.CLASSIFICATION, epochs=1, seed=2, data=unpinned)
    bench.run(again)
    assert bench.store.latest(mine.name) == other
    assert bench.store.lookup(again.key).environment["sources"]["data.colours"] == mine.digest
    missing = InputRef(name="nothing", digest="unpinned:some-uid/nothing")
    assert entry.run(bench.train_stage(TaskType.CLASSIFICATION, data=missing)) == EXIT_INVALID
    assert "xstilts put nothing FOLDER" in entry.result.error.message


def test_what_nobody_foresaw_is_told_with_a_traceback(bench, entry):
    entry.environment["OMP_NUM_THREADS"] = "many"
    assert entry.run(bench.train_stage(TaskType.CLASSIFICATION)) == EXIT_FAILED
    assert "ValueError" in entry.result.error.message
    assert "Traceback" in entry.log


def hashes(store, key):
    return {path: file.sha256 for path, file in store.lookup(key).files.items()}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_killed_run_continues_to_the_same_bytes(bench, entry, tiny_encoder, number, monkeypatch):
    """Ended several times on its way, the stage leaves the bytes of an undisturbed run."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.05)
    stage = bench.train_stage(*MIX, epochs=12, mixing=Mixing(strategy="Uniform"))
    folder = bench.store.checkpoint_dir(stage.key)
    ends = []
    for _ in range(3):
        before = {path.name for path in folder.glob("*.json")}
        process = entry.start(stage)
        while not {path.name for path in folder.glob("*.json")} - before and process.is_alive():
            time.sleep(0.01)
        os.kill(process.pid, number)
        process.join()
        ends.append(process.exitcode)
    assert ends == [EXIT_INTERRUPTED if number is signal.SIGTERM else -signal.SIGKILL] * 3
    assert entry.run(stage) == 0
    assert "continuing after step" in entry.log
    monkeypatch.undo()
    undisturbed = type(bench)(bench.root / "undisturbed", tiny_encoder)
    again = undisturbed.train_stage(*MIX, epochs=12, mixing=Mixing(strategy="Uniform"))
    assert again.key == stage.key
    # In a fork too, with the same number of threads: what else ran in this process must not matter.
    entry.environment["XSTILTS_STORE"] = str(undisturbed.root / "store")
    assert entry.run(again) == 0
    assert hashes(undisturbed.store, stage.key) == hashes(bench.store, stage.key)


@pytest.mark.parametrize(
    "late",
    [(HeadTraining, "save"), (Folder, "publish")],
    ids=["the model is written", "the artifact is published"],
)
def test_a_signal_behind_the_last_step_finds_the_stage_done(bench, entry, monkeypatch, late):
    """There is no checkpoint of it, and what is left takes no longer than one."""
    where, name = late
    plain = getattr(where, name)

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return plain(*arguments)

    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=1)
    monkeypatch.setattr(where, name, interrupted)
    assert entry.run(stage) == 0
    assert entry.result.outputs_digest == bench.store.lookup(stage.key).outputs_digest
