"""`xstilts run` as a person uses it: the real trainer, a real encoder, a folder store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

XSTILTS = [sys.executable, "-m", "xstilts"]
PLACES = {"en": ("river", "mountain"), "de": ("Fluss", "Berg"), "es": ("río", "montaña")}


def experiment(
    folder: Path, encoder: Path, *, second_target: str = "", epochs: int = 1, more_training: str = ""
) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(
        f"""
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {{name: tiny}}
spec:
  models: [{{name: e5, pretrained: {encoder}, family: E5}}]
  tasks:
    - {{name: places, type: Classification, labels: [water, land], data: ./places, languages: [en, de, es]}}
    - {{name: broken, type: Classification, labels: [water, land], data: ./broken, languages: [en]}}
  targets: [{{task: places}}{second_target}]
  seeds: [1]
  training: {{defaults: {{epochs: {epochs}, batchSize: 8, maxLength: 16}}{more_training}}}
  resources: {{cpu: 1}}
  queueName: gpus
""",
        encoding="utf-8",
    )
    return file


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with one task that is right and one whose third training row has a label that nobody knows."""
    places, broken = tmp_path / "places", tmp_path / "broken"
    for folder in (places, broken):
        folder.mkdir()
    for split, copies in (("train", 24), ("validation", 2), ("test", 2)):
        for language, (water, land) in PLACES.items():
            if split == "test" or language == "en":
                rows = [
                    {"text": f"{word} {number}", "label": label}
                    for number in range(copies)
                    for word, label in ((water, "water"), (land, "land"))
                ]
                lines = "".join(json.dumps(row) + "\n" for row in rows)
                (places / f"{split}.{language}.jsonl").write_text(lines, encoding="utf-8")
                if language == "en":
                    (broken / f"{split}.{language}.jsonl").write_text(lines, encoding="utf-8")
    train = broken / "train.en.jsonl"
    lines = train.read_text(encoding="utf-8").splitlines()
    lines[2] = json.dumps({"text": "a cloud", "label": "air"})
    train.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*XSTILTS, *arguments], cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )


def test_a_failure_is_told_and_stops_only_what_depends_on_it(workplace: Path, encoder_dir: Path) -> None:
    file = experiment(workplace, encoder_dir, second_target=", {task: broken}")
    ended = run(workplace, "run", file.name)
    told = ended.stderr
    assert ended.returncode == 1, told
    assert "spec.queueName is for a cluster and is ignored here" in told
    assert re.search(r"failed: train broken after none on e5, seed 1: .*train\.en\.jsonl.*row 3", told)
    assert "not run, since what it needs failed: evaluate broken after none on e5, seed 1" in told
    assert "Traceback" not in told
    assert "tiny (partial)" in ended.stdout
    assert (
        (workplace / "results" / "tiny" / "report.html").read_text(encoding="utf-8").startswith("<!doctype")
    )

    why = json.loads(run(workplace, "explain", "tiny", "-o", "json").stdout)
    assert (why["state"], why["stage"]) == ("PartlyFailed", "train broken after none on e5, seed 1")
    assert "row 3" in why["reason"]
    assert why["log"]

    (listed,) = json.loads(run(workplace, "list", "-o", "json").stdout)
    assert re.fullmatch(r"places [\d.]+ e5/none", listed["best"])
    scored = " ".join(listed["best"].split()[:2])
    stages = json.loads(run(workplace, "watch", "tiny", "--once", "-o", "json").stdout)["stages"]
    assert scored in [one["score"] for one in stages]
    assert re.search(rf"done +evaluate places after none on e5, seed 1 \([\d:]+\)  {scored}\n", told)

    again = run(workplace, "retry", "tiny", "--failed")
    assert again.returncode == 1
    assert "2 stages to run" in again.stderr
    assert "train places" not in again.stderr, "what is done is not done again"
    (listed,) = json.loads(run(workplace, "list", "-o", "json").stdout)
    assert listed["best"].startswith(scored), "what the store had is scored too"

    planned = run(workplace, "plan", file.name, "-o", "json")
    cached = {stage["kind"] for stage in json.loads(planned.stdout)["stages"] if stage["cached"]}
    assert cached == {"train", "evaluate", "report"} - {"report"}
    scores = run(workplace, "results", file.name, "-o", "csv").stdout.splitlines()
    assert scores[0] == "model,intermediate,target,seed,language,metric,value"
    assert [line.split(",")[:6] for line in scores[1:]] == [
        ["e5", "none", "places", "1", language, "accuracy"] for language in ("de", "en", "es")
    ]


def test_a_swept_target_is_reported_at_the_rate_that_is_best_on_english_dev(
    workplace: Path, encoder_dir: Path
) -> None:
    swept = "{match: {phase: target}, sweep: {learningRate: ['1e-7', '1e-4']}}"
    file = experiment(workplace, encoder_dir, more_training=f", overrides: [{swept}]", epochs=4)
    ended = run(workplace, "run", file.name)
    assert ended.returncode == 0, ended.stderr
    (record,) = workplace.glob(".xstilts/default/*/*/selection.json")
    chosen = json.loads(record.read_text(encoding="utf-8"))
    dev = {one["learningRate"]: float(one["dev"]) for one in chosen["candidates"]}
    assert dev["1e-7"] < dev["0.0001"], "the small rate must teach nothing"
    assert chosen["learningRate"] == "0.0001"
    scores = json.loads((record.parent / "scores.json").read_text(encoding="utf-8"))["places"]["accuracy"]
    (told,) = json.loads(run(workplace, "results", file.name, "-o", "json").stdout)["rates"]
    assert (told["learning_rate"], told["edge"], told["dev"]) == ("0.0001", "largest", dev)
    assert "Chosen learning rates" in (workplace / "results" / "tiny" / "report.html").read_text()
    lines = run(workplace, "results", file.name, "-o", "csv").stdout.splitlines()[1:]
    assert {line.split(",")[4]: float(line.split(",")[6]) for line in lines} == pytest.approx(
        {language: float(value) for language, value in scores.items()}
    )


def test_ctrl_c_saves_and_the_same_command_continues(workplace: Path, encoder_dir: Path) -> None:
    file = experiment(workplace, encoder_dir, epochs=200)
    command = [*XSTILTS, "run", file.name]
    started = subprocess.Popen(
        command, cwd=workplace, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    logs = workplace / "results" / "tiny" / "logs"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any("loss" in log.read_text() for log in logs.glob("train-*")):
        assert started.poll() is None
        time.sleep(0.2)
    os.kill(started.pid, signal.SIGINT)
    _, told = started.communicate(timeout=30)
    assert started.returncode == 130, told
    assert "the same command continues" in told
    checkpoints = list((workplace / ".xstilts").rglob("checkpoints/*"))
    assert checkpoints, "what was done is saved"

    (listed,) = json.loads(run(workplace, "list", "-o", "json").stdout)
    assert listed["state"] == "Interrupted"
    command = [*XSTILTS, "resume", "tiny"]
    started = subprocess.Popen(command, cwd=workplace, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        "continuing after step" in log.read_text() for log in logs.glob("train-*")
    ):
        assert started.poll() is None
        time.sleep(0.2)
    watched = json.loads(run(workplace, "watch", "tiny", "--once", "-o", "json").stdout)
    assert watched["state"] == "Running"
    assert watched["stages"][0]["state"] == "Running"
    assert "is asked to save and end" in run(workplace, "suspend", "tiny").stdout
    assert started.wait(timeout=30) == 130


def test_files_that_are_missing_are_named_before_anything_is_run(workplace: Path, encoder_dir: Path) -> None:
    file = experiment(workplace, encoder_dir, second_target=", {task: broken}")
    (workplace / "places" / "test.es.jsonl").unlink()
    (workplace / "broken" / "validation.en.jsonl").unlink()
    refused = run(workplace, "run", file.name)
    assert refused.returncode == 64, refused.stderr
    ends = "{jsonl,parquet,csv,tsv}: must be there"
    assert refused.stderr.splitlines()[-2:] == [
        f"error: broken/validation.en.{ends}: the folder holds test.en.jsonl, train.en.jsonl",
        f"error: places/test.es.{ends}: split test is there in de, en",
    ]
    assert not (workplace / "results" / "tiny" / "logs").exists()
