"""Every command that README.md names is executed here, or by the continuous check itself (.ci/run)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.models import CommandInfo

from xstilts.cli import app

from .conftest import KEYS, STAGES, write_run

# The table's spelling -> what is run in a folder of the test's own.
COMMANDS = {
    "xstilts init [FILE]": "init first.yaml",
    "xstilts list": "list",
    "xstilts watch NAME": "watch whole",
    "xstilts explain NAME": "explain whole",
    "xstilts logs NAME [-f]": "logs whole -f",
    "xstilts suspend NAME": "suspend whole",
    "xstilts retry NAME --failed": "retry whole --failed",
    "xstilts compare FILE FILE": "compare quickstart.yaml quickstart.yaml",
    "xstilts export FILE DIR": "export quickstart.yaml exported",
    "xstilts doctor": "doctor",
    "xstilts validate FILE": "validate quickstart.yaml",
    "xstilts plan FILE [-o json]": "plan quickstart.yaml -o json",
    "xstilts results FILE [-o table|json|csv|markdown|latex]": "results quickstart.yaml -o markdown",
    "xstilts report FILE": "report quickstart.yaml",
    "xstilts put NAME DIR": "put texts texts",
    "xstilts pin FILE": "pin own.yaml",
    "xstilts gc FILE…": "gc quickstart.yaml",
    "xstilts score --predictions DIR --labels DIR": "score --predictions made/predictions --labels made/labels",
}
ELSEWHERE = {
    "xstilts run FILE [--store DIR] [--parallelism N]": "make demo; tests/local/test_run.py",
    "xstilts COMMAND --help": "tests/cli",
    "xstilts fetch WHAT DIR": "tests/cli/test_store_access.py",
    "xstilts submit FILE": "tests/operator_integration/test_commands.py",
    "xstilts resume NAME": "tests/operator_integration/test_commands.py; tests/cli/test_local_runs.py",
}


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def test_every_command_of_the_readme_is_run(readme: str) -> None:
    named = {name.replace(r"\|", "|") for name in re.findall(r"`(xstilts [^`]+)`", readme)}
    table = readme.partition("\n## Commands\n")[2].partition("\n## ")[0]
    named = {name for name in named if re.search(r"FILE|DIR|COMMAND|NAME", name) or f"| `{name}` |" in table}
    assert named == COMMANDS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs(name: str, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_bytes((repository / "examples" / "quickstart.yaml").read_bytes())
    (tmp_path / "made").symlink_to(repository / "tests" / "scoring" / "made")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "test.en.jsonl").write_text('{"text": "a", "label": "b"}\n', encoding="utf-8")
    own = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(re.sub(r"store://\S+", "./texts", own), encoding="utf-8")
    write_run(tmp_path, "whole", STAGES[:2])
    (tmp_path / "results/whole/logs" / f"evaluate-{KEYS['score'][:12]}.log").write_text(
        "done\n", encoding="utf-8"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "xstilts", *shlex.split(COMMANDS[name])],
        cwd=tmp_path,
        env=os.environ | {"KUBECONFIG": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda one: one.callback.__name__)
def test_every_command_can_answer_as_json(command: CommandInfo) -> None:
    forms, option = get_args(get_type_hints(command.callback, include_extras=True)["output"])
    assert "-o" in option.param_decls
    assert "json" in list(forms)


def test_every_make_target_of_the_readme_is_there(readme: str, repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    code = re.findall(r"`[^`\n]+`|^    [^\n]+", readme, re.MULTILINE)
    named = {target for text in code for target in re.findall(r"\bmake ([a-z-]+)", text.partition("#")[0])}
    assert named >= {"demo", "test", "setup", "inputs"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_link_into_the_tree_leads_somewhere(readme: str, repository: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (repository / target).exists(), target
