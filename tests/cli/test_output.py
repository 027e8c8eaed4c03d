"""How commands print: help that says what each is for, rows that fit a terminal, any encoding, and no kubeconfig."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from xstilts.cli.output import lines

from .conftest import write_run

TITLES = ("STATE", "STAGE", "SCORE", "REASON")
ROWS = [
    (
        "Failed",
        "evaluate a-long-name after another-name on base, seed 2",
        "xnli 71.3",
        "data: must have rows",
    ),
    ("Succeeded", "train x", "", ""),
]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_rows_fit_a_terminal_and_end_with_what_tells_them_apart(width):
    console = Console(width=width, force_terminal=True)
    title, failed, _ = (line.plain for line in lines(console, TITLES, ROWS))
    assert len(failed) <= width
    assert "on base, seed 2  xnli 71.3" in failed or "seed 2  xnli 71.3" in failed
    assert title.index("SCORE") == failed.index("xnli 71.3")
    assert ("…" in failed) == (width < 100)


def test_columns_in_which_nothing_stands_give_way_first():
    rows = [(state, stage, score, "") for state, stage, score, _ in ROWS]
    title, failed, _ = (line.plain for line in lines(Console(width=84, force_terminal=True), TITLES, rows))
    assert title.split() == ["STATE", "STAGE", "SCORE"]
    assert failed.endswith("evaluate a-long-name after another-name on base, seed 2  xnli 71.3")
    _, cut, _ = (line.plain for line in lines(Console(width=70, force_terminal=True), TITLES, rows))
    assert cut.endswith("on base, seed 2  xnli 71.3"), "no number is cut while a title can be"


def test_elsewhere_rows_are_whole():
    _, failed, _ = (line.plain for line in lines(Console(width=40), TITLES, ROWS))
    assert failed == "  ".join(["Failed   ", *ROWS[0][1:]])


def test_the_list_of_commands_says_of_each_what_it_is_for(invoke):
    commands = invoke("--help", env={"COLUMNS": "80"}).stdout.partition("Commands:\n")[2].splitlines()
    assert len(commands) > 20
    assert not [line for line in commands if "..." in line or not line.endswith(".")]


def test_a_terminal_of_another_encoding_gets_no_traceback(tmp_path):
    write_run(tmp_path, "größe")
    listed = subprocess.run(
        [sys.executable, "-m", "xstilts", "list", "--local"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "gr??e" in listed.stdout or "gr?e" in listed.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must be there, is not; name the cluster's with --kubeconfig or $KUBECONFIG"),
        ("garbage", "must name a cluster and how to log in, is no kubeconfig"),
        ("a: [", "must name a cluster and how to log in: "),
        ("{}", "must name a cluster and how to log in: "),
    ],
)
def test_what_is_no_kubeconfig_is_said(invoke, tmp_path, content, said):
    if content is not None:
        (tmp_path / "kubeconfig").write_text(content, encoding="utf-8")
    done = invoke("list", "--kubeconfig", "kubeconfig")
    assert (done.exit_code, done.stdout) == (64, "")
    assert re.fullmatch(rf"error: kubeconfig kubeconfig: {re.escape(said)}.*\n", done.stderr), done.stderr


def test_a_name_that_is_nowhere_says_which_are_there(invoke, tmp_path):
    write_run(tmp_path)
    assert invoke("results", "mode").stderr == (
        "error: experiment mode: must have been run on this machine or be on a cluster; results has no record of it "
        "(there: made), and no cluster is configured\n"
    )
    assert (
        "has no record of it in namespace team (there: made)" in invoke("logs", "made", "-n", "team").stderr
    )


def test_a_name_that_is_nowhere_says_why_a_cluster_was_asked(invoke, tmp_path, monkeypatch):
    write_run(tmp_path)
    gone = "{name: c, cluster: {server: 'http://127.0.0.1:9'}}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        f"apiVersion: v1\nkind: Config\nclusters: [{gone}]\ncurrent-context: old\n"
        "contexts: [{name: old, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    done = invoke("explain", "mode")
    ours, theirs = done.stderr.splitlines()
    assert ours.endswith(
        "results has no record of it (there: made), and the cluster has not given it either:"
    )
    assert theirs.startswith("error: cluster old: must answer at http://127.0.0.1:9, does not: ")
    assert done.exit_code == 1  # worth another try
    assert invoke("explain", "made").exit_code == 0


def test_init_writes_only_what_other_commands_know_for_a_file(invoke, tmp_path):
    done = invoke("init", "first")
    assert (done.exit_code, done.stderr) == (64, "error: first: must end with .yaml or .yml\n")
    assert not (tmp_path / "first").exists()
