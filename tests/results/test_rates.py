"""The learning rates that sweeps have chosen: read from the store, printed, and flagged at the edge of their grid."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.plan import plan
from xstilts.results import Results, gather, summary_table
from xstilts.results.rates_table import rates_table
from xstilts.results.rows import ChosenRate
from xstilts.results.text import to_json
from xstilts.spec import load_experiment
from xstilts.stage import Family, Kind
from xstilts.store import Store

EXPERIMENT = """
apiVersion: xstilts.dev/v1alpha1
kind: TransferExperiment
metadata: {name: made, namespace: team}
spec:
  models:
    - {name: small, pretrained: intfloat/multilingual-e5-small}
    - {name: base, pretrained: FacebookAI/xlm-roberta-base}
  intermediates: [{name: mix, tasks: [qqp, mnli]}]
  targets: [{task: xnli}, {task: tatoeba}]
  seeds: [2, 1]
  training:
    overrides:
      - {match: {phase: target, model: base}, sweep: {learningRate: ["3e-5", "1e-5", "0.0001"]}}
      - {match: {phase: intermediate}, sweep: {learningRate: ["1e-5", "3e-5"]}}
"""
DEV = {"1e-5": "61.25", "3e-5": "70.5", "0.0001": "70.5"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "made.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture
def experiment(file):
    return load_experiment(file)


@pytest.fixture
def store(tmp_path):
    return Store.open(str(tmp_path / "store"), "team")


def choose(store, planned, *, weights=False):
    """Write what a stage that begins from a sweep leaves of its choice; of the others nothing."""
    swept = {
        role.removeprefix("model."): key
        for role, key in planned.stage.parents.items()
        if role.startswith("model.")
    }
    with store.write(planned.stage, {}) as draft:
        (draft.path / "scores.json").write_text("{}")
        if weights:
            (draft.path / "model.safetensors").write_bytes(bytes(1000))
        if swept:
            rates = sorted(swept, key=float)
            candidates = [{"learningRate": rate, "dev": DEV[rate], "stage": swept[rate]} for rate in rates]
            best = max(rates, key=lambda rate: float(DEV[rate]))
            record = {"learningRate": best, "candidates": candidates}
            (draft.path / "selection.json").write_text(json.dumps(record))


def names(rates):
    return [(one.model, one.intermediate, one.phase, one.tasks, one.seed) for one in rates]


def test_each_sweep_is_told_once_in_the_files_order(experiment, store):
    planned = plan(experiment)
    for one in planned.stages:
        if one.stage.kind in {Kind.TRAIN, Kind.EVALUATE}:
            choose(store, one)
    rates = gather(experiment, planned, store).rates
    mixed = ("mnli", "qqp")
    assert names(rates) == [
        *(("small", "mix", "intermediate", mixed, seed) for seed in (1, 2)),
        *(("base", "none", "target", ("mnli",), seed) for seed in (1, 2)),
        *(("base", "mix", "intermediate", mixed, seed) for seed in (1, 2)),
        *(("base", "mix", "target", ("mnli",), seed) for seed in (1, 2)),
    ]
    of_target = rates[2]
    assert (of_target.learning_rate, of_target.runner_up, of_target.edge) == ("3e-5", "0.0001", "")
    assert of_target.dev == {"1e-5": 61.25, "3e-5": 70.5, "0.0001": 70.5}
    assert (rates[0].learning_rate, rates[0].runner_up, rates[0].edge) == ("3e-5", "1e-5", "largest")


def test_a_choice_is_known_as_soon_as_one_stage_begins_from_it(experiment, store):
    """Also where that is retrieval, which trains nothing; the others are not there yet."""
    planned = plan(experiment)
    retrieval = next(
        one
        for one in planned.of_kind(Kind.EVALUATE)
        if {(cell.model, cell.intermediate, cell.target, cell.seed) for cell in one.labels}
        == {("small", "mix", "tatoeba", 1)}
    )
    choose(store, retrieval)
    results = gather(experiment, planned, store)
    assert names(results.rates) == [("small", "mix", "intermediate", ("mnli", "qqp"), 1)]
    assert rates_table(results).title.endswith("(partial)")


def test_a_choice_is_told_also_when_the_weights_that_came_of_it_were_dropped(experiment, store):
    planned = plan(experiment)
    trained = next(
        one
        for one in planned.of_kind(Kind.TRAIN)
        if any(role.startswith("model.") for role in one.stage.parents)
    )
    choose(store, trained, weights=True)
    assert store.drop(trained.key) > 0
    assert store.lookup(trained.key) is None
    assert len(gather(experiment, planned, store).rates) == 1


def test_models_of_equal_content_are_both_named(file, store):
    twice = "- {name: same, pretrained: intfloat/multilingual-e5-small}\n    - {name: base"
    file.write_text(EXPERIMENT.replace("- {name: base", twice))
    experiment = load_experiment(file)
    planned = plan(experiment)
    for one in planned.of_kind(Kind.EVALUATE):
        choose(store, one)
    rates = gather(experiment, planned, store).rates
    assert [one.model for one in rates if one.phase == "intermediate"] == [
        *("small", "small", "same", "same"),
        *("base", "base"),
    ]


RATE = ChosenRate(
    "base", "none", "target", ("xnli",), 1, "3e-5", {"1e-5": 61.25, "3e-5": 70.5, "0.0001": 70.25}
)
AT_EDGE = replace(RATE, model="large", learning_rate="1e-5", dev={"1e-5": 72.0, "3e-5": 70.0})
RESULTS = Results(
    experiment="made",
    models={"base": Family.XLMR, "large": Family.XLMR},
    intermediates=("none",),
    targets={},
    rows=(),
    rates=(RATE, AT_EDGE),
)
EDGE = "1 of 2 learning rates that sweeps chose is the smallest or the largest that was tried (large)"


def test_the_table_flags_what_is_at_the_edge():
    table = rates_table(RESULTS)
    assert table.rows == (
        ("base", "none", "xnli", "target", "1", "3e-5", "70.50", "0.0001", "70.25", "1e-5 3e-5 0.0001", ""),
        ("large", "none", "xnli", "target", "1", "1e-5", "72.00", "3e-5", "70.00", "1e-5 3e-5", "smallest"),
    )
    assert EDGE in table.notes[-1]
    within = rates_table(replace(RESULTS, rates=(RATE,)))
    assert len(within.notes) == 1
    assert "English dev" in within.notes[0]


def test_a_mix_of_many_tasks_is_counted():
    mix = replace(RATE, tasks=("anli_plus", "mnli", "qqp", "squad"))
    assert rates_table(replace(RESULTS, rates=(mix,))).rows[0][2] == "4 tasks"


def test_the_main_table_says_it_below_and_is_no_wider():
    without = summary_table(replace(RESULTS, rates=()))
    table = summary_table(RESULTS)
    assert table.columns == without.columns
    assert EDGE in set(table.notes).symmetric_difference(without.notes).pop()
    assert summary_table(replace(RESULTS, rates=(RATE,))) == without


def test_json_has_every_choice_with_all_scores():
    assert json.loads(to_json(RESULTS))["rates"] == [
        {
            "model": "base",
            "intermediate": "none",
            "phase": "target",
            "tasks": ["xnli"],
            "seed": 1,
            "learning_rate": "3e-5",
            "runner_up": "0.0001",
            "edge": None,
            "dev": {"1e-5": 61.25, "3e-5": 70.5, "0.0001": 70.25},
        },
        {
            "model": "large",
            "intermediate": "none",
            "phase": "target",
            "tasks": ["xnli"],
            "seed": 1,
            "learning_rate": "1e-5",
            "runner_up": "3e-5",
            "edge": "smallest",
            "dev": {"1e-5": 72.0, "3e-5": 70.0},
        },
    ]


@pytest.fixture
def command(file, tmp_path):
    def run(*arguments):
        invoked = ["results", str(file), "--store", str(tmp_path / "store"), *arguments]
        done = CliRunner().invoke(app, invoked)
        assert done.exit_code == 0, done.output
        return done

    return run


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_the_command_prints_the_table_alone(command, experiment, store, form):
    for one in plan(experiment).of_kind(Kind.EVALUATE):
        choose(store, one)
    said = command("--rates", "-o", form).stdout
    assert "chosen learning rates" in said
    assert "largest" in said
    assert "zero-shot" not in said


def test_csv_has_a_rate_a_line(command, experiment, store):
    for one in plan(experiment).of_kind(Kind.EVALUATE):
        choose(store, one)
    lines = list(csv.DictReader(io.StringIO(command("--rates", "-o", "csv").stdout)))
    assert len(lines) == 4 * 2 + 4 * 3
    assert lines[0] == {
        "model": "small",
        "intermediate": "mix",
        "phase": "intermediate",
        "tasks": "mnli qqp",
        "seed": "1",
        "learning_rate": "1e-5",
        "dev": "61.25",
        "chosen": "False",
    }
    assert [line["learning_rate"] for line in lines if line["chosen"] == "True"] == ["3e-5"] * 8


def test_the_command_says_why_there_are_none(command, file):
    nothing = command("--rates")
    assert nothing.stdout == ""
    assert nothing.stderr == "no rates yet: nothing that begins from a sweep is done\n"
    file.write_text(EXPERIMENT.partition("  training:")[0])
    assert "no sweep (spec.training.sweep)" in command("--rates").stderr
