"""What the pages tell people to type: every command of a tutorial is run here, or where it says; examples of files are valid."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.plan import plan
from xstilts.plan.show import to_text
from xstilts.spec import ExperimentSpec, load_experiment, parse_experiment

DOCS = Path(__file__).parents[2] / "docs"
# What a tutorial says that this test does not run, and where it is run.
ELSEWHERE = {
    "make demo": "the continuous check",
    "xstilts run again.yaml": "tests/local/test_run.py",
    "xstilts list": "tests/cli/test_local_runs.py",
    "export PATH=$PWD/.venv/bin:$PATH": "the environment of the tests",
    "xstilts doctor --cluster -n nlp": "tests/cli/test_checks.py",
    "xstilts pin first.yaml": "tests/store/test_pin.py",
    "xstilts submit first.yaml -n nlp": "tests/operator_integration/test_commands.py",
    "xstilts submit first.yaml --edit -n nlp": "tests/operator_integration/test_commands.py",
    "xstilts watch first --cluster -n nlp": "tests/operator_integration/test_commands.py",
    "xstilts explain first --cluster -n nlp": "tests/operator_integration/test_commands.py",
    "xstilts results first --cluster -n nlp --ci": "tests/operator_integration/test_commands.py",
    "xstilts plan first.yaml --cluster -n nlp": "tests/operator_integration/test_commands.py",
    "kubectl -n nlp get tx,txs": "tests/operator_integration",
    "kubectl -n nlp describe tx first": "tests/operator_integration",
    "kubectl -n nlp delete tx first": "tests/operator_integration",
    "make demo-cluster": "make test-cluster",
    "make cluster-down": "make test-cluster",
}


def commands(page: str) -> list[str]:
    """The lines of a page's console blocks, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```console\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def documents(page: str) -> list[dict[str, Any]]:
    """The YAML blocks of a page, in their order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [one for block in blocks for one in yaml.safe_load_all(dedent(block))]


@pytest.mark.parametrize("page", ["tutorials/quickstart.md", "tutorials/first-cluster-experiment.md"])
def test_the_commands_of_a_tutorial_run_one_after_the_other(
    page: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(repository / "examples", tmp_path / "examples")
    shutil.copy(DOCS / "tutorials" / "first.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("XSTILTS_STORE", raising=False)
    run = 0
    for command in commands(page):
        if command in ELSEWHERE:
            continue
        if command.startswith("xstilts "):
            invoked = CliRunner().invoke(app, shlex.split(command)[1:])
            code, output = invoked.exit_code, invoked.output
        else:
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
            code, output = done.returncode, done.stderr
        assert code == 0, f"{command}\n{output}"
        run += 1
    assert run >= 2


def test_no_command_is_excused_that_no_tutorial_names() -> None:
    named = {one for page in (DOCS / "tutorials").glob("*.md") for one in commands(f"tutorials/{page.name}")}
    assert ELSEWHERE.keys() <= named


def test_every_command_of_a_guide_is_one_of_ours_with_options_that_it_has() -> None:
    known = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    for page in [*(DOCS / "how-to").glob("*.md"), *(DOCS / "explanation").glob("*.md")]:
        for command in commands(f"{page.parent.name}/{page.name}"):
            words = shlex.split(command.rstrip("\\"))
            if words[:1] != ["xstilts"]:
                continue
            section = known.partition(f"\n## xstilts {words[1]}\n")[2].partition("\n## ")[0]
            assert section, f"{page.name}: {command}"
            for option in filter(re.compile(r"--?[a-z]").match, words[2:]):
                assert re.search(rf"[`, ]{re.escape(option)}[`, ]", section), f"{page.name}: {command}"


@pytest.mark.parametrize("page", ["first-cluster-experiment.md", "quickstart.md"])
def test_the_plan_that_a_tutorial_shows_is_the_one_that_is_printed(page: str, repository: Path) -> None:
    text = (DOCS / "tutorials" / page).read_text(encoding="utf-8")
    [shown] = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1:]
    if page == "quickstart.md":
        file = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
        experiment = parse_experiment(
            file.replace("name: quickstart", "name: again").replace("seeds: [1]", "seeds: [1, 2]")
        )
    else:
        experiment = load_experiment(DOCS / "tutorials" / "first.yaml")
    cached = {one.key for one in plan(load_experiment(repository / "examples" / "quickstart.yaml")).stages}
    printed = to_text(plan(experiment), cached).splitlines()
    assert {line.rstrip() for line in shown.splitlines()} <= {line.rstrip() for line in printed}


def test_the_parts_of_an_experiment_are_well_formed_and_together_a_valid_one() -> None:
    spec: dict[str, Any] = {"targets": [{"task": "xnli"}], "seeds": [1]}
    parts = documents("how-to/write-an-experiment.md")
    assert len(parts) >= 6
    for part in parts:
        spec |= part
        ExperimentSpec.model_validate(spec)
    assert parse_experiment(json.dumps(manifest(spec)), "write-an-experiment").spec.models


GUIDES = [
    page.name
    for page in sorted((DOCS / "how-to").glob("*.md"))
    if page.name != "write-an-experiment.md" and documents(f"how-to/{page.name}")
]


def test_guides_show_files() -> None:
    assert {"gpu-cluster.md", "kueue.md", "s3-store.md", "air-gapped.md"} <= set(GUIDES)


@pytest.mark.parametrize("page", GUIDES)
def test_what_a_guide_shows_of_experiments_and_of_the_charts_values_is_valid(
    page: str, repository: Path
) -> None:
    schema = json.loads((repository / "charts/xstilts/values.schema.json").read_text(encoding="utf-8"))
    for document in documents(f"how-to/{page}"):
        if "models" in document:
            spec = {"targets": [{"task": "xnli"}], "seeds": [1], **document}
            assert parse_experiment(json.dumps(manifest(spec)), page)
        elif "apiVersion" not in document:  # else somebody else's resource
            jsonschema.validate(document, schema)


def manifest(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "xstilts.dev/v1alpha1",
        "kind": "TransferExperiment",
        "metadata": {"name": "shown"},
        "spec": spec,
    }
