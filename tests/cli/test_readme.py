"""Every command is executed here, or where it says; README.md names no others, and no option that they do not have."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command
from typer.models import CommandInfo

from xstilts.cli import app

from .conftest import KEYS, STAGES, write_run

# Each command -> what is run in a folder of the test's own.
COMMANDS = {
    "init": "init first.yaml",
    "list": "list",
    "watch": "watch whole",
    "explain": "explain whole",
    "logs": "logs whole -f",
    "suspend": "suspend whole",
    "retry": "retry whole --failed",
    "compare": "compare quickstart.yaml quickstart.yaml",
    "export": "export quickstart.yaml exported",
    "doctor": "doctor",
    "validate": "validate quickstart.yaml",
    "plan": "plan quickstart.yaml -o json",
    "results": "results quickstart.yaml -o markdown",
    "report": "report quickstart.yaml",
    "put": "put texts texts",
    "pin": "pin own.yaml",
    "gc": "gc quickstart.yaml",
    "score": "score --predictions made/predictions --labels made/labels",
}
ELSEWHERE = {
    "run": "make demo; tests/local/test_run.py",
    "fetch": "tests/cli/test_store_access.py",
    "submit": "tests/operator_integration/test_commands.py",
    "resume": "tests/operator_integration/test_commands.py; tests/cli/test_local_runs.py",
}


def commands() -> dict[str, Any]:
    """Every command by its name."""
    group: Any = get_command(app)
    return dict(group.commands)


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def test_every_command_is_run() -> None:
    assert commands().keys() == COMMANDS.keys() | ELSEWHERE.keys()


def test_every_command_of_the_readme_is_there_with_the_options_that_it_names(readme: str) -> None:
    known = commands()
    lines = re.findall(r"`(xstilts [^`\n]+)`|^    (xstilts [^\n#]+)", readme, re.MULTILINE)
    named = [shlex.split(inline or shown) for inline, shown in lines]
    assert len(named) >= 8
    for _, name, *words in named:
        assert name in known, name
        options = {option for one in known[name].params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, (name, words)


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
