"""A training that several processes share: the curve of one, exit codes of any, and the same bytes when continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from xstilts.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_INVALID, SpecError
from xstilts.stage import Mixing, Result
from xstilts.task import TaskType
from xstilts_trainer.ranks import Ranks, combined, run_ranks

MIX = (TaskType.CLASSIFICATION, TaskType.TAGGING)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0], 0),
        ([0, 1], EXIT_FAILED),
        ([-9, 0], EXIT_FAILED),
        ([EXIT_INTERRUPTED, 0], EXIT_INTERRUPTED),
        ([1, EXIT_INTERRUPTED], EXIT_INTERRUPTED),
        ([-signal.SIGTERM, 1], EXIT_INTERRUPTED),  # it was still being imported
        ([EXIT_INTERRUPTED, 1, EXIT_INVALID], EXIT_INVALID),
    ],
)
def test_the_exit_code_says_most(codes, code):
    assert combined(codes) == code


@pytest.mark.parametrize(
    ("environment", "field"),
    [
        ({"XSTILTS_NODES": "two"}, "XSTILTS_NODES"),
        ({"XSTILTS_NODES": "0"}, "XSTILTS_NODES"),
        ({"XSTILTS_NODES": "2", "XSTILTS_NODE_RANK": "2"}, "XSTILTS_NODE_RANK"),
    ],
)
def test_what_is_no_group_is_refused(environment, field):
    with pytest.raises(SpecError) as caught:
        Ranks.from_environment(environment)
    assert caught.value.problems[0].field == field


def test_the_ranks_of_all_nodes_are_numbered_through():
    nodes = [Ranks(nodes=2, node=node, per_node=3) for node in range(2)]
    told = [ranks.environment(local, 1)["XSTILTS_RANK"] for ranks in nodes for local in range(3)]
    assert told == ["0", "1", "2", "3", "4", "5"]


def test_a_signal_between_two_starts_reaches_both(tmp_path, monkeypatch):
    """Neither would end otherwise: whoever was to tell them is gone."""
    started = []

    class Asked(subprocess.Popen):
        def __init__(self, *arguments, **others):
            super().__init__(*arguments, **others)
            started.append(self)
            if len(started) == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Asked)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the entry point has it
    try:
        code = run_ranks(Ranks(per_node=2), ["none.json"], os.environ, tmp_path / "result.json", "")
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in started:
            process.kill()
            process.wait()
    assert code == EXIT_INTERRUPTED
    assert len(started) == 2


def start(bench, stage, name="result.json", log=None, **environment):
    file = bench.root / "STAGE.json"
    file.write_bytes(stage.to_json())
    return subprocess.Popen(
        [sys.executable, "-m", "xstilts_trainer", str(file)],
        env={
            **os.environ,
            "XSTILTS_STORE": str(bench.root / "store"),
            "XSTILTS_RESULT": str(bench.root / name),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        stderr=log,
    )


def result(bench, name="result.json"):
    return Result.model_validate_json((bench.root / name).read_bytes())


def outputs(bench, stage):
    folder = bench.store.fetch(stage.key)
    weights = {
        path.relative_to(folder).as_posix(): load_file(path) for path in sorted(folder.rglob("*.safetensors"))
    }
    return json.loads((folder / "training.json").read_text()), weights


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_as_one(bench, tiny_encoder):
    """Without dropout, which is drawn for each process: same losses, same weights, to rounding."""
    changes = {"epochs": 2, "dropout": "0", "batch_size": 7, "mixing": Mixing(strategy="Uniform")}
    stage = bench.train_stage(*MIX, **changes)
    alone = type(bench)(bench.root / "alone", tiny_encoder)
    assert alone.train_stage(*MIX, **changes).key == stage.key
    alone.run(stage)
    with (bench.root / "log.txt").open("w") as log:
        assert start(bench, stage, log=log, XSTILTS_RANKS_PER_NODE="2").wait() == 0
    told = [line for line in (bench.root / "log.txt").read_text().splitlines() if line.startswith("100 %")]
    assert len(told) == 1  # by one process
    assert result(bench).outputs_digest == bench.store.lookup(stage.key).outputs_digest
    assert bench.store.lookup(stage.key).environment["hardware"]["processes"] == 2
    (training, weights), (expected, expected_weights) = outputs(bench, stage), outputs(alone, stage)
    curve, expected_curve = ([float(part["mean"]) for part in one["loss"]] for one in (training, expected))
    assert curve == pytest.approx(expected_curve, abs=2e-4)
    for name, tensors in expected_weights.items():
        noise = {key for key in tensors if key.endswith("key.bias")}  # no gradient: softmax does not see it
        assert_close(
            *({key: one[key] for key in one if key not in noise} for one in (weights[name], tensors)),
            atol=2e-3,
            rtol=0,
        )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_nodes_interrupted_on_one_continue_to_the_same_bytes(bench, tiny_encoder):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=40)
    checkpoints = bench.store.checkpoint_dir(stage.key)

    def nodes(bench, **environment):
        return [
            start(bench, stage, f"{node}.json", XSTILTS_NODES="2", XSTILTS_NODE_RANK=str(node), **environment)
            for node in range(2)
        ]

    progress = bench.root / "progress.jsonl"
    first, second = nodes(bench, XSTILTS_PROGRESS=str(progress))
    while first.poll() is None and not progress.exists():  # told at the first step
        time.sleep(0.05)
    second.send_signal(signal.SIGTERM)
    assert [first.wait(), second.wait()] == [EXIT_INTERRUPTED] * 2
    assert list(checkpoints.glob("*.json"))
    assert [node.wait() for node in nodes(bench)] == [0, 0]
    assert result(bench, "0.json").outputs_digest is not None
    undisturbed = type(bench)(bench.root / "undisturbed", tiny_encoder)
    assert undisturbed.train_stage(TaskType.CLASSIFICATION, epochs=40).key == stage.key
    assert [node.wait() for node in nodes(undisturbed)] == [0, 0]
    assert result(undisturbed, "0.json") == result(bench, "0.json")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wrong_data_is_told_by_any_rank(bench, tmp_path):
    stage = bench.train_stage(TaskType.CLASSIFICATION, learning_rate="1e30")
    assert start(bench, stage, XSTILTS_RANKS_PER_NODE="2").wait() == EXIT_INVALID
    assert "must be finite" in result(bench).error.message


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_that_is_killed_is_named_and_not_those_that_fail_for_want_of_it(bench, tiny_encoder):
    stage = bench.train_stage(TaskType.CLASSIFICATION, epochs=400)
    progress = bench.root / "progress.jsonl"
    parent = start(bench, stage, XSTILTS_RANKS_PER_NODE="2", XSTILTS_PROGRESS=str(progress))
    while parent.poll() is None and not progress.exists():
        time.sleep(0.05)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    assert parent.wait() == EXIT_FAILED
    error = result(bench).error
    assert error.field == "process 2 of 2 of node 0"
    assert "was ended by SIGKILL" in error.message
    assert "resources.memory" in error.message
