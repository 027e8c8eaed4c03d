"""docs/threat-model.md: each control is held by tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docs" / "threat-model.md").read_text(encoding="utf-8")
THREATS = dict(re.findall(r"^### (T\d+)\. (.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def defined(file: Path) -> set[str]:
    """The tests of a file, those of its classes too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")
    }


def test_threats_are_numbered_one_after_the_other() -> None:
    assert list(THREATS) == [f"T{number}" for number in range(1, len(THREATS) + 1)]
    assert len(THREATS) >= 10


@pytest.mark.parametrize("threat", THREATS)
def test_the_tests_that_hold_a_control_exist(threat: str) -> None:
    named = TEST.findall(THREATS[threat])
    assert len(named) == len(set(named)) == THREATS[threat].count("\n- ")
    assert named, f"{threat} is held by no test"
    for file, name in named:
        assert name in defined(REPOSITORY / file), f"{file} has no {name}"


def test_what_is_not_held_is_said() -> None:
    assert "## What is not protected" in TEXT
