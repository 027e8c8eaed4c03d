"""Every command that README.md names is executed here, or by the continuous check itself (.ci/run)."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

# The table's spelling -> what is run in a folder of the test's own.
COMMANDS = {
    "xstilts validate FILE": "validate quickstart.yaml",
    "xstilts plan FILE [-o json]": "plan quickstart.yaml -o json",
    "xstilts results FILE [-o table|json|csv|markdown|latex]": "results quickstart.yaml -o markdown",
    "xstilts put NAME DIR": "put texts texts",
    "xstilts pin FILE": "pin own.yaml",
    "xstilts gc FILE…": "gc quickstart.yaml",
    "xstilts score --predictions DIR --labels DIR": "score --predictions made/predictions --labels made/labels",
}
ELSEWHERE = {
    "xstilts run FILE [--store DIR] [--parallelism N]": "make demo; tests/local/test_run.py",
    "xstilts COMMAND --help": "tests/cli",
}


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def test_every_command_of_the_readme_is_run(readme: str) -> None:
    named = {name.replace(r"\|", "|") for name in re.findall(r"`(xstilts [^`]+)`", readme)}
    named = {name for name in named if name.isupper() or re.search(r"FILE|DIR|COMMAND", name)}
    assert named == COMMANDS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs(name: str, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_bytes((repository / "examples" / "quickstart.yaml").read_bytes())
    (tmp_path / "made").symlink_to(repository / "tests" / "scoring" / "made")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "test.en.jsonl").write_text('{"text": "a", "label": "b"}\n', encoding="utf-8")
    own = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(re.sub(r"store://\S+", "./texts", own), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "xstilts", *shlex.split(COMMANDS[name])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


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
