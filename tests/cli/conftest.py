"""Runs on this machine as `xstilts run` leaves them, without running one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result as ClickResult
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.local.record import RECORD, RunRecord, StageRecord
from xstilts.local.schedule import State

Invoke = Callable[..., ClickResult]
KEYS = {name: f"{number:x}" * 64 for number, name in enumerate(("train", "score", "other", "blocked"), 10)}


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """The command line, in a folder of the test's own, on a machine that knows no cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    return lambda *arguments, **options: CliRunner().invoke(app, list(map(str, arguments)), **options)


def stage(name: str, kind: str, title: str, state: State, **more: Any) -> StageRecord:
    return StageRecord(key=KEYS[name], kind=kind, title=title, state=state, **more)


STAGES = (
    stage("train", "train", "train xnli after none on base, seed 1", State.DONE, percent=100),
    stage(
        "score",
        "evaluate",
        "evaluate xnli after none on base, seed 1",
        State.DONE,
        score="xnli 75.0",
    ),
    stage(
        "other", "train", "train xnli after qqp on base, seed 1", State.FAILED, error="data: must have rows"
    ),
    stage("blocked", "evaluate", "evaluate xnli after qqp on base, seed 1", State.BLOCKED),
)


def write_run(
    folder: Path, name: str = "made", stages: tuple[StageRecord, ...] = STAGES, **changes: Any
) -> Path:
    """A run's folder, with a log of its failed stage."""
    record = RunRecord(
        name=name,
        namespace="default",
        file=str(folder / f"{name}.yaml"),
        store=str(folder / "store"),
        parallelism=1,
        pid=1,
        started=time.time() - 90,
        ended=time.time(),
        stages=stages,
    ).model_copy(update=changes)
    run = folder / "results" / name
    (run / "logs").mkdir(parents=True)
    (run / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    (run / "logs" / f"train-{KEYS['other'][:12]}.log").write_text(
        "begins\nreads\nno rows\n\n", encoding="utf-8"
    )
    return run
