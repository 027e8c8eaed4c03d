"""What docs/how-to/estimate.md shows of an estimate is what is printed."""

from __future__ import annotations

import re
import shlex

from typer.testing import CliRunner

from xstilts.cli import app


def test_the_table_that_is_shown_is_the_one_that_is_printed(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    text = (repository / "docs" / "how-to" / "estimate.md").read_text(encoding="utf-8")
    section = text.partition("\n## ")[0]
    command, *shown = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    words = shlex.split(command)
    assert words[:2] == ["xstilts", "plan"]
    ended = CliRunner().invoke(app, [*words[1:], "--store", str(tmp_path / "store")])
    printed = [line.rstrip() for line in ended.stdout.splitlines()]
    assert [line for line in shown if line] == [line for line in printed if line in shown and line]
    assert len([line for line in shown if line]) == 7


def test_every_field_of_the_json_is_told(repository, make):
    from xstilts.estimate.show import to_json

    text = (repository / "docs" / "how-to" / "estimate.md").read_text(encoding="utf-8")
    said = to_json(make(budget={"gpuHours": 5}))
    names = {*said, *said["total"], *said["stages"][0], *said["accelerator"], *said["budget"]}
    training = next(one for one in said["stages"] if one["memory"])
    names |= set(training["memory"])
    missing = {name for name in names if not re.search(rf"\b{name}\b", text)}
    assert not missing
