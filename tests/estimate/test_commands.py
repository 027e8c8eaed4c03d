"""`xstilts plan` with its estimate: what people and programs see, prices, and what is asked wrongly."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from xstilts.cli import app
from xstilts.store import Store

from .conftest import EXAMPLES, manifest


@pytest.fixture
def run(tmp_path, write):
    def invoke(*options, code=0, **changes):
        file = write(tmp_path / "experiment.yaml", **changes)
        ended = CliRunner().invoke(app, ["plan", str(file), "--store", str(tmp_path / "store"), *options])
        assert ended.exit_code == code, ended.output
        return ended.output

    return invoke


def estimate_of(run, *options, **changes):
    return json.loads(run("-o", "json", *options, **changes))["estimate"]


def row(text, title):
    """The last line of that title: above the estimate stands the plan's own."""
    *_, line = (line for line in text.splitlines() if line.startswith(title))
    return line[len(title) :].split()


def test_the_text_says_what_will_be_spent_by_kind_and_in_all(run):
    text = run()
    assert (
        "GPU-hours on A100, by 7 to 40 % (likely 20) of its 312 bf16 TFLOPS "
        "and 20 to 65 % (likely 45) of its 19.5 fp32 TFLOPS:" in text  # sentences are compared in fp32
    )
    low, likely, high, saved, naive, _, unit = row(text, "in all")
    assert unit == "GB"
    assert row(text, "evaluations")[-1] == "MB"
    assert float(low) < float(likely) < float(high)
    assert float(naive) > float(likely)
    assert saved == "0"
    for title in ("intermediate models", "target models", "evaluations"):
        assert float(row(text, title)[1]) > 0


def test_the_json_carries_everything(run):
    said = estimate_of(run, "--price", "2 EUR", budget={"gpuHours": 1})
    assert set(said) == {
        "accelerator",
        "unit",
        "price",
        "groups",
        "total",
        "budget",
        "assumed",
        "stages",
        "measured",
    }
    assert set(said["groups"]) == {"prepare", "train intermediate", "train target", "evaluate"}
    for sums in (*said["groups"].values(), said["total"]):
        assert set(sums) == {
            "toRun",
            "notRun",
            "fromNothing",
            "naive",
            "cost",
            "naiveCost",
            "diskBytes",
            "unknown",
        }
    assert said["total"]["toRun"]["likely"] == pytest.approx(
        sum(sums["toRun"]["likely"] for sums in said["groups"].values()), abs=0.01
    )
    assert said["total"]["cost"]["likely"] == pytest.approx(2 * said["total"]["toRun"]["likely"], abs=0.01)
    assert said["price"] == {"perHour": "2", "currency": "EUR"}
    assert said["unit"] == "GPU-hours"
    assert {"key", "devices", "seconds", "diskBytes", "memory", "runs", "unknown"} == set(said["stages"][0])


def test_a_faster_accelerator_takes_fewer_hours(run):
    hours = [
        estimate_of(run, "--accelerator", name)["total"]["toRun"]["likely"]
        for name in ("t4", "V100", "A100", "h100")
    ]
    assert hours == sorted(hours, reverse=True)
    assert hours[0] > 2 * hours[-1]


@pytest.mark.parametrize(
    ("gpu_hours", "words"),
    [
        (1, "exceed it: stages will be left undone"),
        (8, "exceed it: stages will be left undone"),  # more than the low estimate
        (20, "are within it, the high"),
        (1_000_000, "are within it"),
    ],
)
def test_a_budget_is_held_against_the_likely_and_the_high_estimate(run, gpu_hours, words):
    (line,) = (
        line
        for line in run(budget={"gpuHours": gpu_hours}).splitlines()
        if line.startswith(f"budget of {gpu_hours:,} GPU-hours: ")
    )
    assert words in line
    said = estimate_of(run, budget={"gpuHours": gpu_hours})
    hours = said["total"]["toRun"]
    assert said["budget"] == {
        "gpuHours": gpu_hours,
        "likelyExceeds": hours["likely"] > gpu_hours,
        "highExceeds": hours["high"] > gpu_hours,
    }


def test_a_batch_that_does_not_fit_is_said_to_be_computed_in_parts(run):
    """And nobody is told to change the batch size, which is the recipe's."""
    tagging = {"models": [{"name": "mt5", "pretrained": "google/mt5-base"}], "intermediates": []}
    tagging |= {"targets": [{"task": "udpos"}], "training": {"defaults": {"batchSize": 128}}}
    stages = estimate_of(run, "--accelerator", "L4", **tagging)["stages"]
    memory = next(one["memory"] for one in stages if one["memory"])
    assert memory["fits"] == "fits in parts"
    assert 1 <= memory["rows"] < memory["batch"] == 128
    assert memory["row"]["high"] <= memory["there"] < memory["needed"]["high"]
    (line,) = (
        line for line in run("--accelerator", "L4", **tagging).splitlines() if line.startswith("memory:")
    )
    assert line.startswith(
        "memory: mt5 on 1 GPU fits in parts (train target, none): a batch of 128 likely needs "
    )
    assert re.search(
        rf"; it will be computed in parts, about {memory['rows']} rows? at a time, with the same loss$", line
    )
    assert "batchSize" not in line


def test_not_even_a_row_that_fits_is_said(run):
    models = [{"name": "large", "pretrained": "google/mt5-large"}]
    text = run("--accelerator", "T4", models=models)
    assert "memory: large on 1 GPU does not fit (" in text
    assert re.search(r"even a row at a time likely needs 2\d\.\d GiB a GPU, the longest row .* of 16;", text)


def test_without_gpus_hours_are_those_of_cpus(run):
    assert estimate_of(run, resources={"cpu": 4})["unit"] == "hours"
    assert "hours on CPU" in run(resources={"cpu": 4})
    assert estimate_of(run, "--accelerator", "L4", resources={"cpu": 4})["unit"] == "GPU-hours"


def test_what_is_not_known_is_named_and_never_a_silent_zero(run):
    models = [{"name": "mine", "pretrained": "someone/model", "family": "XLMR", "layer": 3}]
    text = run(models=models)
    assert "not estimated, and in no sum: " in text
    assert "unknown size of someone/model" in text
    assert row(text, "in all")[:5] == ["?", "?", "?", "0", "?"]
    both = run(models=[*models, {"name": "known", "pretrained": "FacebookAI/xlm-roberta-base"}])
    likely, naive = (row(both, "in all")[column] for column in (1, 4))
    assert likely.endswith("+")
    assert naive.endswith("+")
    stages = estimate_of(run, models=models)["stages"]
    assert any(one["unknown"] for one in stages)
    assert all(one["seconds"] is None for one in stages if one["unknown"])


def test_what_the_store_has_costs_nothing_and_is_held_against_what_it_took(run, tmp_path):
    from xstilts.plan import plan
    from xstilts.spec import parse_experiment
    from xstilts.stage import Kind

    planned = plan(parse_experiment(json.dumps(manifest())))
    (first, *_) = planned.of_kind(Kind.TRAIN)
    before = estimate_of(run)
    environment = {"seconds": 5000, "hardware": {"gpus": 1, "threads": 8}}
    with Store.open(str(tmp_path / "store")).write(first.stage, environment) as draft:
        (draft.path / "training.json").write_text("{}", encoding="utf-8")
    after = estimate_of(run)
    (measured,) = after["measured"]
    assert (measured["key"], measured["seconds"]) == (first.key, 5000)
    assert measured["ratio"] == pytest.approx(5000 / measured["predicted"]["likely"], rel=0.01)
    hours = measured["predicted"]["likely"] / 3600
    assert after["total"]["notRun"]["likely"] == pytest.approx(hours, abs=0.01)
    assert after["total"]["toRun"]["likely"] == pytest.approx(
        before["total"]["toRun"]["likely"] - hours, abs=0.01
    )
    assert "seconds of stages that are there (on GPUs whose kind manifests do not tell):" in run()


@pytest.mark.parametrize("text", ["1.80", "1.80 EUR", "1.80EUR", "2 USD", "0.35 €"])
def test_a_price_may_name_its_currency(run, text):
    said = estimate_of(run, "--price", text)["price"]
    assert said["currency"] == text.lstrip("0123456789. ")
    assert said["perHour"] == text.rstrip("EURSD€ ")


@pytest.mark.parametrize("text", ["", "free", "-1", "1,80", "1.8 EUR per hour", "1e3"])
def test_what_is_no_price_is_refused(run, text):
    assert "--price: must be a number, and a currency if you like" in run("--price", text, code=64)


def table(tmp_path, text):
    file = tmp_path / "prices.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_a_table_has_the_price_of_the_accelerator(run, tmp_path):
    file = table(tmp_path, 'currency: EUR\nperHour: {a100: "1.80", H100: 3}\n')
    assert estimate_of(run, "--prices", file)["price"] == {"perHour": "1.80", "currency": "EUR"}
    h100 = estimate_of(run, "--prices", file, "--accelerator", "H100")
    assert h100["price"] == {"perHour": "3", "currency": "EUR"}
    assert "perHour: must have a price of L4, has A100, H100" in run(
        "--prices", file, "--accelerator", "L4", code=64
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("currency: EUR\n", "perHour"),
        ("currency: EUR\nperHour: {A100: cheap}\n", 'perHour.A100: must be a number such as "1.80"'),
        ("currency: EUR\nperHour: {A100: 1}\nextra: 1\n", "extra"),
        ("- 1\n", "prices.yaml"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_is_wrong(run, tmp_path, text, says):
    assert says in run("--prices", table(tmp_path, text), code=64)


def test_one_price_is_enough(run, tmp_path):
    file = table(tmp_path, "currency: EUR\nperHour: {A100: 1}\n")
    assert "only one of --price and --prices" in run("--price", "1", "--prices", file, code=2)


def test_an_accelerator_that_is_none_is_refused(run):
    said = run("--accelerator", "TPU", code=64)
    assert "--accelerator: must be one of A100, H100, H200, L4, V100, T4, CPU, was 'TPU'" in said


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_estimated_without_a_store(path, tmp_path):
    ended = CliRunner().invoke(app, ["plan", str(path), "--store", str(tmp_path / "store"), "-o", "json"])
    assert ended.exit_code == 0, ended.output
    said = json.loads(ended.stdout)["estimate"]
    reasons = set(said["total"]["unknown"])
    # their models and tasks are in no store here
    if path.stem.startswith(("quickstart", "xnli-small", "e5-depth")):
        assert any(reason.startswith("unknown size of store://e5-small") for reason in reasons)
    else:
        assert reasons <= {"unknown disk of wikipedia"}
