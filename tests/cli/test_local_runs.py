"""The commands that look at an experiment, on runs of this machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from filelock import FileLock

from xstilts.local.place import LocalPlace
from xstilts.local.record import Recorder, RunRecord, is_alive, read_record
from xstilts.local.schedule import State

from .conftest import STAGES, write_run


def test_list(invoke, tmp_path):
    assert invoke("list", "--local").output == "no experiments: this machine\n"
    write_run(tmp_path)
    write_run(tmp_path, "whole", STAGES[:2], best="xnli 75.0 base/none")
    listed = invoke("list")
    assert listed.exit_code == 0
    title, made, whole = listed.stdout.splitlines()
    assert title.split() == ["NAME", "STATE", "DONE", "FAILED", "LEFT", "AGE", "BEST", "MESSAGE"]
    assert made.split()[:4] == ["made", "PartlyFailed", "2/4", "1"]
    assert whole.split()[:4] == ["whole", "Completed", "2/2", "-"]
    assert "xnli 75.0 base/none" in whole
    assert "--cluster lists those of the cluster" in listed.stderr


def test_nothing_anywhere_is_no_error_unless_a_cluster_is_asked_for(invoke, tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    nothing = invoke("list")
    assert (nothing.exit_code, nothing.stderr) == (0, "")
    assert nothing.stdout == "no experiments: none was run here (in results), and no cluster is configured\n"
    assert invoke("list", "-o", "json").stdout == "[]\n"
    for asked in (["--cluster"], ["-A"], ["-n", "team"], ["--context", "other"], ["--kubeconfig", "none"]):
        refused = invoke("list", *asked)
        assert (refused.exit_code, refused.stdout) == (64, "")
        assert "kubeconfig" in refused.stderr
    (tmp_path / "no-kubeconfig").write_text("{}")  # a file that is there and wrong is to be mended
    assert invoke("list").exit_code == 64


def test_list_as_json(invoke, tmp_path):
    write_run(tmp_path)
    (one,) = json.loads(invoke("list", "-o", "json").stdout)
    assert (one["name"], one["state"], one["succeeded"], one["failed"]) == ("made", "PartlyFailed", False, 1)
    assert "stages" not in one


def test_watch_ends_with_the_run_and_says_how(invoke, tmp_path):
    write_run(tmp_path)
    failed = invoke("watch", "made")
    assert failed.exit_code == 1
    assert "made (this machine): PartlyFailed" in failed.stdout
    assert "Failed      train xnli after qqp on base, seed 1  data: must have rows" in failed.stdout
    write_run(tmp_path, "whole", STAGES[:2])
    assert invoke("watch", "whole").exit_code == 0


def test_watch_once_shows_a_table_that_lines_up(invoke, tmp_path):
    write_run(tmp_path)
    shown = invoke("watch", "made", "--once").stdout.splitlines()
    title = next(line for line in shown if line.startswith("STATE"))
    rows = shown[shown.index(title) + 1 :]
    assert [row.split()[0] for row in rows] == ["Failed", "Blocked", "Succeeded", "Succeeded"]
    assert {row.index("xnli after") - row.index("train ") for row in rows if "train " in row} == {6}
    assert len({re.search("train|evaluate", row).start() for row in rows}) == 1


def test_watch_as_json_lines(invoke, tmp_path):
    write_run(tmp_path, stages=STAGES[:2])
    (line,) = invoke("watch", "made", "-o", "json").stdout.splitlines()
    document = json.loads(line)
    assert document["succeeded"] is True
    assert [one["score"] for one in document["stages"]] == ["xnli 75.0", None]


def test_explain_names_the_stage_the_reason_and_the_last_line(invoke, tmp_path):
    write_run(tmp_path)
    assert invoke("explain", "made").stdout.splitlines() == [
        "made (this machine): PartlyFailed",
        "  stage   train xnli after qqp on base, seed 1",
        "  reason  data: must have rows",
        "  log     no rows",
        "  do      see `xstilts logs made`; mend it, then: xstilts retry made --failed",
    ]
    found = json.loads(invoke("explain", "made", "-o", "json").stdout)
    assert (found["advancing"], found["log"]) == (False, "no rows")


def test_explain_a_run_whose_process_was_killed(invoke, tmp_path):
    running = (STAGES[0], STAGES[1].model_copy(update={"state": State.RUNNING, "score": ""}))
    write_run(tmp_path, stages=running, ended=None)
    assert invoke("explain", "made").stdout.splitlines() == [
        "made (this machine): Interrupted",
        "  reason  it was stopped with 1 of 2 stages done",
        "  do      xstilts resume made",
    ]
    assert "Interrupted" in invoke("watch", "made", "--once").stdout


def test_explain_a_run_that_was_refused(invoke, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.en.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "own.yaml").write_text(
        """apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: own}
spec:
  models: [{name: base, pretrained: ./model, family: E5}]
  tasks: [{name: mine, type: Classification, labels: [a, b], languages: [en], data: ./mine}]
  targets: [{task: mine}]
  seeds: [1]
""",
        encoding="utf-8",
    )
    refused = invoke("run", "own.yaml", "--store", "store")
    assert refused.exit_code == 64
    state, reason, remedy = invoke("explain", "own").stdout.splitlines()
    assert state == "own (this machine): Failed"
    assert "mine/test.en.{jsonl,parquet,csv,tsv}: must be there" in reason
    assert remedy == "  do      mend it, then: xstilts resume own"
    for again in (["resume", "own"], ["retry", "own", "--failed"]):
        assert invoke(*again).stderr == refused.stderr


def test_logs(invoke, tmp_path):
    write_run(tmp_path)
    shown = invoke("logs", "made", "--tail", "2")
    assert shown.stdout == "no rows\n\n"
    assert shown.stderr == "train xnli after qqp on base, seed 1 (Failed, train-cccccccccccc)\n"
    assert json.loads(invoke("logs", "made", "-o", "json").stdout)["lines"][0] == "begins"


def test_logs_of_a_stage_that_is_not_there_or_has_none(invoke, tmp_path):
    write_run(tmp_path)
    other = invoke("logs", "made", "--stage", "pawsx")
    assert other.exit_code == 64
    assert other.stderr.startswith(
        "error: --stage: must be a part of a stage's name or title, was 'pawsx' (there: "
    )
    silent = invoke("logs", "made", "--stage", "evaluate xnli after none")
    assert silent.exit_code == 64
    assert "must be there, are not: it is Succeeded" in silent.stderr


def test_a_name_that_nobody_knows(invoke, tmp_path):
    write_run(tmp_path)
    unknown = invoke("explain", "nobody")
    assert unknown.exit_code == 64
    assert "must have been run on this machine or be on a cluster" in unknown.stderr
    local = invoke("explain", "nobody", "--local")
    assert local.stderr == (
        "error: experiment nobody: must have been run on this machine, has no record in results (there: made)\n"
    )


def test_suspend_what_does_not_run_and_retry_what_has_not_failed(invoke, tmp_path):
    write_run(tmp_path, "whole", STAGES[:2])
    assert invoke("suspend", "whole").stdout == "whole (this machine): does not run\n"
    assert invoke("retry", "whole", "--failed").stdout == "whole (this machine): nothing has failed\n"
    said = invoke("retry", "whole", "--failed", "-o", "json")
    assert json.loads(said.stdout)["changed"] is False
    assert invoke("retry", "whole").exit_code == 2


def test_resume_needs_the_file(invoke, tmp_path):
    write_run(tmp_path)
    gone = invoke("resume", "made")
    assert gone.exit_code == 64
    assert gone.stderr.endswith("made.yaml: must be there to run made again: it was run from this file\n")


def test_resume_runs_the_file_again(invoke, tmp_path, monkeypatch):
    run = write_run(tmp_path, parallelism=3)
    (tmp_path / "made.yaml").write_text("kind: Other\n", encoding="utf-8")
    said = invoke("resume", "made")
    assert said.exit_code == 64  # it read that very file
    assert "made.yaml" in said.stderr
    lock = FileLock(run / ".run.lock")
    with lock:
        busy = invoke("resume", "made")
    assert "must not run already, is run by process 1" in busy.stderr


@pytest.mark.parametrize("command", ["resume made", "retry made --failed", "results made", "report made"])
def test_a_file_that_has_become_another_experiments_is_not_taken_for_the_runs(invoke, tmp_path, command):
    write_run(tmp_path)
    invoke("init", "made.yaml", "--name", "other")
    refused = invoke(*command.split())
    assert refused.exit_code == 64
    assert refused.stderr == (
        f"error: {tmp_path / 'made.yaml'}: metadata.name: must be 'made', of which a run on this machine has read it, "
        "was 'other'; name the file itself for what is in it now\n"
    )
    assert not (tmp_path / "results" / "other").exists()


def test_suspend_asks_the_process_to_end(invoke, tmp_path):
    script = (
        "import signal, sys, time; from filelock import FileLock\n"
        "lock = FileLock(sys.argv[1]); lock.acquire()\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('held', flush=True); time.sleep(60)\n"
    )
    run = write_run(tmp_path, ended=None)
    with subprocess.Popen(
        [sys.executable, "-c", script, run / ".run.lock"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        record = read_record(run)
        assert record is not None
        (run / "run.json").write_text(
            record.model_copy(update={"pid": process.pid}).model_dump_json(), encoding="utf-8"
        )
        assert "Running" in invoke("list").stdout
        assert invoke("suspend", "made").stdout == "made (this machine): is asked to save and end\n"
        assert process.wait(timeout=30) == 7
    assert not is_alive(run)


@pytest.fixture
def follow(invoke, tmp_path, monkeypatch):
    """What `logs -f` shows of a running stage; before it looks again, the next of `steps` is done with its log."""
    running = STAGES[2].model_copy(update={"state": State.RUNNING, "error": ""})
    run = write_run(tmp_path, ended=None, stages=(*STAGES[:2], running))
    lock = FileLock(run / ".run.lock", thread_local=False)
    log = run / "logs" / "train-cccccccccccc.log"
    log.write_bytes(b"")

    def followed(*steps):
        left = iter(steps)
        monkeypatch.setattr("xstilts.local.place.time.sleep", lambda _: next(left)(log, lock))
        with lock:
            shown = invoke("logs", "made", "-f")
        assert shown.exit_code == 0, shown.output
        assert next(left, None) is None, "it waits for all of it"
        return shown.stdout

    return followed


def says(content: bytes):
    def step(log, _lock):
        with log.open("ab") as stream:
            stream.write(content)

    return step


def test_logs_that_are_followed_end_with_the_run_and_its_last_words(follow):
    def ends(log, lock):
        says(b"last\nwords")(log, lock)
        lock.release()

    assert follow(says(b"more\n"), ends) == "more\nlast\nwords\n"


def test_logs_that_are_followed_end_with_their_stage(follow):
    def stage_ends(log, lock):
        says(b"last\n")(log, lock)
        record = read_record(log.parents[1])
        done = [one.model_copy(update={"state": State.DONE}) for one in record.stages]
        ended = record.model_copy(update={"stages": tuple(done)})
        (log.parents[1] / "run.json").write_text(ended.model_dump_json(), encoding="utf-8")

    assert follow(says(b"more\n"), stage_ends) == "more\nlast\n"


def test_a_line_that_is_written_in_parts_is_one(follow):
    def ends(_log, lock):
        lock.release()

    word = "straße\n".encode()
    assert follow(says(b"eine " + word[:5]), says(word[5:]), ends) == "eine straße\n"


def test_a_record_is_whole_at_any_moment_and_says_how_it_ended(tmp_path):
    record = RunRecord(
        name="a",
        namespace="default",
        file="a.yaml",
        store="s",
        parallelism=1,
        pid=os.getpid(),
        started=time.time(),
    )
    with Recorder(tmp_path, record, tell=pytest.fail) as first:
        assert is_alive(tmp_path)
        assert first.recording
        with Recorder(tmp_path, record.model_copy(update={"name": "b"}), tell=pytest.fail) as second:
            assert not second.recording
        found = read_record(tmp_path)
        assert found is not None
        assert (found.name, found.ended) == ("a", None)
    ended = read_record(tmp_path)
    assert ended is not None
    assert ended.ended is not None
    assert not ended.interrupted
    assert not is_alive(tmp_path)
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path, record, tell=pytest.fail):
        raise KeyboardInterrupt
    assert read_record(tmp_path).interrupted


def test_a_record_that_cannot_be_written_is_told_once_and_tried_again(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_run(tmp_path)
    folder = tmp_path / "results" / "made"
    record = read_record(folder)
    told: list[str] = []
    with Recorder(folder, record, tell=told.append) as recorder:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_text", full)
            recorder.settle({}, interrupted=True)
            recorder.settle({}, interrupted=True)
        assert not read_record(folder).interrupted
        recorder.settle({}, interrupted=True)
        assert read_record(folder).interrupted
    (line,) = told
    assert "run.json cannot be written" in line
    assert "No space left on device" in line


def test_what_is_no_record_is_none(tmp_path):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert read_record(tmp_path) is None
    assert read_record(Path(tmp_path / "absent")) is None


def test_another_namespace_is_not_that_of_the_run(invoke, tmp_path):
    write_run(tmp_path)
    assert invoke("explain", "made", "-n", "default").exit_code == 0
    assert (
        "must have been run on this machine or be on a cluster"
        in invoke("explain", "made", "-n", "ml").stderr
    )


def test_ctrl_c_is_130_in_every_command(invoke, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    write_run(tmp_path)
    for command, method in (
        ("list", "standings"),
        ("watch", "standing"),
        ("explain", "explain"),
        ("suspend", "stop"),
    ):
        monkeypatch.setattr(LocalPlace, method, interrupted)
        arguments = [command] if command == "list" else [command, "made"]
        assert invoke(*arguments).exit_code == 130


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What `xstilts ARGUMENTS` shows on a terminal of 100 columns and 30 rows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "xstilts", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "KUBECONFIG": str(folder / "none"), **environment},
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the end, as Linux has it
        while piece := os.read(ours, 4096):
            said += piece
    os.close(ours)
    process.wait(timeout=30)
    return said.decode()


def test_a_terminal_gets_colour_and_a_live_table(tmp_path):
    write_run(tmp_path)
    shown = on_a_terminal(tmp_path, "watch", "made")
    assert "\x1b[31mFailed" in shown
    assert "\x1b[2K" in shown  # drawn over what was there
    listed = on_a_terminal(tmp_path, "list")
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 100 for line in listed.splitlines())
    assert "\x1b[3" not in on_a_terminal(tmp_path, "list", NO_COLOR="1")


def test_names_are_completed(tmp_path):
    write_run(tmp_path)
    words = {"_XSTILTS_COMPLETE": "complete_bash", "COMP_WORDS": "xstilts watch ma", "COMP_CWORD": "2"}
    done = subprocess.run(
        [Path(sys.executable).with_name("xstilts")],
        cwd=tmp_path,
        env=os.environ | words,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["made"]


def test_no_colour_where_nobody_sees_it(invoke, tmp_path):
    write_run(tmp_path)
    for arguments in (("list",), ("watch", "made"), ("explain", "made"), ("doctor", "--local")):
        assert "\x1b" not in invoke(*arguments).output
