"""`xstilts validate`, and what every command has: help, version, errors without tracebacks, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xstilts.cli import app

GOOD = """\
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: small}
spec:
  models: [{name: base, pretrained: FacebookAI/xlm-roberta-base}]
  intermediates: [{name: squad, tasks: [squad]}, {name: qqp, tasks: [qqp]}]
  targets: [{task: xnli}]
  seeds: [1, 2]
"""
BAD = GOOD.replace("xnli", "xnil").replace("[1, 2]", "[1, 1]")
PROBLEMS = [
    ("spec.seeds[1]", "must be unique, was the number 1 as in entry [0] (bad.yaml, line 8)"),
    (
        "spec.targets[0].task",
        "must be a task of the catalogue or of spec.tasks, was 'xnil'; did you mean 'xnli'? (bad.yaml, line 7)",
    ),
]


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD)
    Path("bad.yaml").write_text(BAD)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_a_valid_file(invoke):
    result = invoke("validate", "good.yaml")
    assert result.exit_code == 0
    assert result.output == "good.yaml: valid: small, 1 model, 2 intermediates and none, 1 target, 2 seeds\n"


def test_a_bad_file(invoke):
    result = invoke("validate", "bad.yaml")
    assert result.exit_code == 64
    assert result.stdout == ""
    assert result.stderr == "".join(f"error: {field}: {message}\n" for field, message in PROBLEMS)


OWN = GOOD.replace(
    "  targets: [{task: xnli}]",
    "  tasks: [{name: xnli, data: ./mine, languages: [en, de]}]\n  targets: [{task: xnli}]",
)


def test_folders_that_a_file_names_are_looked_into(invoke):
    Path("own.yaml").write_text(OWN)
    for command in ("validate", "plan"):
        missing = invoke(command, "own.yaml")
        assert (missing.exit_code, missing.stdout) == (64, "")
        assert (
            missing.stderr == "error: spec.tasks[0].data: must be a folder, was './mine' (looked at mine)\n"
        )
    Path("mine").mkdir()
    Path("mine/test.en.jsonl").write_text("{}\n")
    for command in ("validate", "plan"):
        lacking = invoke(command, "own.yaml").stderr
        assert (
            "error: xnli/test.de.{jsonl,parquet,csv,tsv}: must be there: split test is there in en\n"
            in lacking
        )
    said = json.loads(invoke("validate", "own.yaml", "-o", "json").stdout)
    assert not said["valid"]
    assert "xnli/test.de.{jsonl,parquet,csv,tsv}" in [one["field"] for one in said["problems"]]
    for name in ("test.de", "validation.en"):
        Path(f"mine/{name}.jsonl").write_text("{}\n")
    for command in ("validate", "plan"):
        assert invoke(command, "own.yaml").exit_code == 0


def test_a_plan_misses_files_of_inputs_that_the_store_has(invoke):
    Path("mine").mkdir()
    Path("mine/test.en.jsonl").write_text("{}\n")
    put = invoke("put", "mine", "mine", "--store", "store").stdout.strip()
    Path("own.yaml").write_text(OWN.replace("./mine", put))
    lacking = invoke("plan", "own.yaml", "--store", "store")
    assert (lacking.exit_code, lacking.stdout) == (64, "")
    assert "error: xnli/test.de.{jsonl,parquet,csv,tsv}: must be there" in lacking.stderr
    assert invoke("plan", "own.yaml", "--store", "another").exit_code == 0, (
        "it may be there where it will run"
    )


def test_as_json(invoke):
    good = invoke("validate", "good.yaml", "-o", "json")
    assert (good.exit_code, json.loads(good.stdout)) == (0, {"valid": True, "problems": []})
    bad = invoke("validate", "--output", "json", "bad.yaml")
    assert (bad.exit_code, json.loads(bad.stdout)) == (
        64,
        {"valid": False, "problems": [{"field": field, "message": message} for field, message in PROBLEMS]},
    )
    assert bad.stderr == ""


@pytest.mark.parametrize("content", [b"", b"\xff", b"[", b"a: &a [*a]", b"x" * 2_000_000])
def test_never_a_traceback(invoke, content):
    Path("bad.yaml").write_bytes(content)
    result = invoke("validate", "bad.yaml")
    assert result.exit_code == 64
    assert result.stderr.startswith("error: bad.yaml")
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there(invoke):
    result = invoke("validate", "absent.yaml")
    assert result.exit_code == 64
    assert result.stderr == "error: absent.yaml: must be a file that can be read: No such file or directory\n"


def test_version(invoke):
    result = invoke("--version")
    assert (result.exit_code, result.output) == (0, f"xstilts {version('xstilts')}\n")


def test_help(invoke):
    every = invoke("-h")
    assert every.exit_code == 0
    assert every.output == invoke("--help").output
    assert "xstilts validate experiment.yaml" in every.output
    one = invoke("validate", "-h")
    assert one.exit_code == 0
    assert "Examples:\n    xstilts validate experiment.yaml" in one.output


def test_every_command_has_help_with_an_example(invoke):
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        result = invoke(name, "-h")
        assert result.exit_code == 0
        assert f"xstilts {name}" in result.output.partition("Example")[2], name


def test_usage_errors_suggest(invoke):
    result = invoke("valdate")
    assert result.exit_code == 2
    assert "Did you mean 'validate'?" in result.stderr


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("xstilts")
    return subprocess.run(
        [program, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_as_a_process(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    done = run("validate", str(path))
    assert done.returncode == 64
    assert done.stderr.startswith("error: spec.seeds[1]: must be unique")
    assert done.stdout == ""


def test_completion():
    done = run(_XSTILTS_COMPLETE="complete_bash", COMP_WORDS="xstilts val", COMP_CWORD="1")
    assert done.stdout.split() == ["validate"]


def test_what_the_operating_system_refuses_is_a_line(invoke):
    Path("folder").mkdir()
    Path("folder", "file").write_text("x")
    result = invoke("put", "name", "folder", "--store", "good.yaml/store")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "good.yaml/store" in result.stderr
    assert result.stderr.endswith(": Not a directory\n")
