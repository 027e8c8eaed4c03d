"""What an experiment is said to take: properties that hold for any, and the examples' own."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.catalogue.sizes import XLMR_BASE
from xstilts.estimate import ACCELERATORS, Facts, Found, Price, Range, Rows, Took, estimate
from xstilts.estimate.memory import Fits
from xstilts.estimate.work import task_shares
from xstilts.plan import plan
from xstilts.stage import Kind, Mixing, Precision

from .conftest import EXAMPLES, estimated

GROUPS = ("train intermediate", "train target", "evaluate")
DIGEST = "a" * 64
OWN = {
    "models": [{"name": "own", "family": "E5", "pretrained": f"store://model@sha256:{DIGEST}"}],
    "tasks": [
        {
            "name": "kinds",
            "type": "Classification",
            "labels": ["a", "b"],
            "languages": ["de", "en"],
            "data": f"store://kinds@sha256:{'b' * 64}",
        }
    ],
    "intermediates": [],
    "targets": [{"task": "kinds"}],
    "seeds": [1],
    "resources": {"gpus": 0, "cpu": 1},
}


def facts(train=1000.0, pieces=30.0, size=XLMR_BASE):
    splits = [("train", "en", train), ("validation", "en", 100.0), ("test", "en", 50.0), ("test", "de", 50.0)]
    rows = {("b" * 64, split, language): Rows(count, pieces) for split, language, count in splits}
    return Facts({DIGEST: size}, rows)


def own(found, **training):
    return estimated("CPU", found=Found(facts=found), **OWN, training=training)


def ordered(one: Range) -> bool:
    return 0 <= one.low <= one.likely <= one.high


@pytest.mark.parametrize("on", sorted(ACCELERATORS))
def test_low_is_at_most_likely_and_likely_at_most_high(on, make):
    said = make(on)
    for one in said.stages:
        assert ordered(one.seconds)
        assert ordered(one.naive)
    for group in (*GROUPS, None):
        hours = said.to_run(group)
        assert ordered(hours)
        assert 0 < hours.low < hours.high
        assert ordered(said.naive(group))


def test_a_stage_is_as_fast_as_the_precision_that_the_trainer_takes(make):
    """bf16 where the GPU has it and nothing else is asked for; sentences are compared in fp32."""
    fp32 = {"training": {"defaults": {"precision": "FP32"}}}
    for name, usual in {"A100": Precision.BF16, "V100": Precision.FP32, "CPU": Precision.FP32}.items():
        left_open, asked = make(name), make(name, **fp32)
        assert left_open.speeds[0] == ACCELERATORS[name].speed() == ACCELERATORS[name].speed(usual)
        assert {speed.precision for speed in left_open.speeds} == {usual, Precision.FP32}
        assert [speed.precision for speed in asked.speeds] == [Precision.FP32]
        ratio = asked.to_run("train target").likely / left_open.to_run("train target").likely
        assert ratio > 2 if usual is Precision.BF16 else ratio == 1


def test_a_cpu_is_asked_for_bf16(make):
    """With units for it likely somewhat faster than in fp32, without them slower: nobody knows which processor it will be."""
    fp32, bf16 = (
        make("CPU", training={"defaults": {"precision": precision}}).to_run("train target")
        for precision in Precision
    )
    assert 1.1 < fp32.likely / bf16.likely < 1.5
    assert bf16.low < fp32.low
    assert bf16.high > 1.5 * fp32.high


def test_a_training_in_bf16_keeps_less_and_holds_its_weights_once_more(make):
    fp32, bf16 = (
        make("A100", training={"defaults": {"precision": precision}}).groups["train target"][0].memory
        for precision in Precision
    )
    assert bf16.states == fp32.states
    assert 0.5 < (bf16.needed.high - bf16.states) / (fp32.needed.high - fp32.states) < 0.8
    assert bf16.row.likely > fp32.row.likely


def test_sharing_never_costs_more_than_to_do_all_alone(make):
    said = make()
    for group in (*GROUPS, None):
        shared, naive = said.from_nothing(group), said.naive(group)
        assert (shared.low, shared.likely, shared.high) <= (naive.low, naive.likely, naive.high)
    assert said.naive("train intermediate").likely == pytest.approx(
        4 * said.from_nothing("train intermediate").likely
    )  # four targets


def test_as_many_stages_are_counted_without_sharing_as_the_plan_counts(make):
    """A training alike of each, so that hours are counts."""
    said = make(targets=[{"task": "xquad"}, {"task": "mlqa"}], intermediates=[])
    (training, *_) = said.groups["train target"]
    assert said.naive("train target").likely == pytest.approx(2 * 2 * training.seconds.likely / 3600)


@given(
    rows=st.integers(40, 100_000),
    more=st.integers(0, 100_000),
    epochs=st.integers(1, 20),
    longer=st.integers(0, 20),
)
@settings(max_examples=40)
def test_more_rows_or_epochs_never_take_less(rows, more, epochs, longer):
    few = own(facts(train=rows), defaults={"epochs": epochs})
    for other in (
        own(facts(train=rows + more), defaults={"epochs": epochs}),
        own(facts(train=rows), defaults={"epochs": epochs + longer}),
        own(facts(train=rows, pieces=30.0 + longer), defaults={"epochs": epochs}),
    ):
        before, after = few.to_run("train target"), other.to_run("train target")
        assert before.low <= after.low + 1e-12
        assert before.likely <= after.likely + 1e-12
        assert before.high <= after.high + 1e-12


def test_what_is_left_in_the_store_depends_on_what_is_kept_and_nothing_else_does(make):
    every, intermediate, scores = (make(store={"keep": keep}) for keep in ("All", "Intermediate", "Scores"))
    assert every.disk() > intermediate.disk() > scores.disk() > 0
    assert intermediate.disk("train intermediate") == every.disk("train intermediate")
    assert intermediate.disk("train target") < every.disk("train target") / 10
    assert scores.disk("train intermediate") < every.disk("train intermediate") / 10
    assert scores.disk("evaluate") == every.disk("evaluate")
    assert scores.to_run() == every.to_run()


@pytest.mark.parametrize(
    "sizes",
    [
        ("google/mt5-small", "google/mt5-base", "google/mt5-large", "google/mt5-xl"),
        ("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-large"),
        ("intfloat/multilingual-e5-small", "intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large"),
    ],
    ids=lambda sizes: sizes[0],
)
def test_a_larger_model_takes_more_time_memory_and_disk(sizes, make):
    said = [make(models=[{"name": "one", "pretrained": hub_id}]) for hub_id in sizes]
    for smaller, larger in pairwise(said):
        for group in GROUPS:
            assert smaller.to_run(group).likely < larger.to_run(group).likely
        assert smaller.disk() < larger.disk()
        pairs = zip(smaller.groups["train target"], larger.groups["train target"], strict=True)
        assert all(one.memory.needed.likely < other.memory.needed.likely for one, other in pairs)


def test_what_is_there_costs_nothing_and_what_only_it_needs_neither(make):
    before = make()
    (training, *_) = before.groups["train target"]
    there = training.planned.key
    after = make(found=Found(cached={there}))
    assert not next(one for one in after.stages if one.planned.key == there).runs
    hours = training.seconds.likely / 3600
    assert after.to_run().likely == pytest.approx(before.to_run().likely - hours)
    assert after.saved().likely == pytest.approx(hours)
    assert after.from_nothing().likely == pytest.approx(before.from_nothing().likely)
    all_there = make(found=Found(cached={one.planned.key for one in before.stages}))
    assert all_there.to_run() == Range(0, 0, 0)
    assert all_there.disk() == 0


def test_a_training_that_nobody_needs_any_more_costs_nothing(make):
    everything = make()
    needed = {one.planned.key for one in everything.groups["evaluate"]}
    said = make(found=Found(needed=needed))
    assert said.to_run("train target").high == 0
    assert said.to_run("evaluate").likely > 0


def test_a_model_that_nobody_knows_is_said_to_be_unknown_and_is_no_zero(make):
    said = make(
        models=[
            {"name": "known", "pretrained": "FacebookAI/xlm-roberta-base"},
            {"name": "mine", "pretrained": "someone/model", "family": "XLMR", "layer": 3},
        ]
    )
    counts = said.unknown()
    assert set(counts) == {"unknown size of someone/model"}
    ours = [one for one in said.stages if {cell.model for cell in one.planned.labels} == {"mine"}]
    assert (
        sum(one.planned.stage.kind is not Kind.REPORT for one in ours)
        == counts["unknown size of someone/model"]
    )
    assert all(one.disk is None for one in ours if one.planned.stage.kind is Kind.TRAIN)


def test_rows_that_nobody_knows_are_said_to_be_unknown():
    said = own(Facts({DIGEST: XLMR_BASE}))
    assert set(said.unknown()) == {"unknown number of rows of kinds"}


def test_a_catalogue_task_from_files_that_were_not_read_is_said_to_be_assumed(make):
    data = f"store://mnli@sha256:{'c' * 64}"
    assert make(tasks=[{"name": "mnli", "data": data}]).assumed == ("mnli",)
    rows = {("c" * 64, split, "en"): Rows(100, 40) for split in ("train", "validation")}
    counted = make(tasks=[{"name": "mnli", "data": data}], found=Found(facts=Facts(rows=rows)))
    assert counted.assumed == ()
    assert counted.to_run("train intermediate").likely < make().to_run("train intermediate").likely


def test_gpus_of_a_stage_are_charged_and_shorten_it(make):
    one, two = (make(resources={"gpus": gpus}) for gpus in (1, 2))
    for alone, both in zip(one.groups["train target"], two.groups["train target"], strict=True):
        assert alone.seconds.likely / 2 < both.seconds.likely < alone.seconds.likely
        assert both.devices == 2
    assert one.to_run("train target").likely < two.to_run("train target").likely
    assert one.to_run("evaluate") == two.to_run("evaluate")  # one process, whatever is asked for


def test_a_price_makes_money_of_hours(make):
    from decimal import Decimal

    said = make(price=Price(Decimal("2.50"), "EUR"))
    assert said.cost(said.to_run()).likely == pytest.approx(2.5 * said.to_run().likely)
    assert make().cost(Range(1, 1, 1)) is None


def test_a_measured_stage_stands_beside_what_would_have_been_said():
    said = own(facts())
    (training,) = said.groups["train target"]
    took = {training.planned.key: Took(2 * training.seconds.likely, threads=1)}
    found = Found(cached={training.planned.key}, facts=facts(), took=took)
    (measured,) = estimated("CPU", found=found, **OWN).measured
    assert measured.predicted == training.seconds
    assert measured.seconds == 2 * measured.predicted.likely
    on_gpus = Found(facts=facts(), took={training.planned.key: Took(10, gpus=1)})
    assert estimated("CPU", found=on_gpus, **OWN).measured == ()
    assert len(estimated("V100", found=on_gpus, **OWN).measured) == 1


def test_more_than_one_learning_rate_is_a_training_each(make):
    once = make()
    swept = make(training={"sweep": {"learningRate": ["1e-5", "2e-5", "3e-5"]}})
    for group in ("train intermediate", "train target"):
        assert swept.to_run(group).likely == pytest.approx(3 * once.to_run(group).likely)


def test_continued_pretraining_takes_more(make):
    wish = {"objective": "MLM", "ratio": "0.2", "corpus": "wikipedia", "languages": ["sw"]}
    plain = make(intermediates=[{"name": "mnli", "tasks": ["mnli"]}])
    more = make(intermediates=[{"name": "mnli", "tasks": ["mnli"], "continuedPretraining": wish}])
    assert more.to_run("train intermediate").likely > 1.2 * plain.to_run("train intermediate").likely


def test_a_mix_draws_its_tasks_as_the_trainer_does():
    from xstilts_trainer.data.mixing import task_probabilities

    sizes = {"a": 400_000, "b": 10_000, "c": 90_000}
    for mixing in (
        Mixing(),
        Mixing(examples_cap=50_000),
        Mixing(strategy="Uniform"),
        Mixing(strategy="Temperature", temperature="2", examples_cap=100_000),
    ):
        ours = task_shares([float(one) for one in sizes.values()], mixing)
        assert ours == pytest.approx(list(task_probabilities(sizes, mixing).values()))


def test_the_papers_grid_takes_thousands_of_v100_hours_without_sharing(of_example):
    said = of_example("phang2020", "V100")
    naive, shared = said.naive(), said.to_run()
    assert 1000 < naive.likely < 10_000
    assert 300 < shared.likely < naive.likely / 2
    assert not said.unknown()
    assert said.assumed == ("bucc2018", "ccg")
    assert 0.5e12 < said.disk() < 1.5e12  # 380 models of 2.2 GB


def test_the_question_of_size_is_estimated_whole(of_example):
    said = of_example("mt5-size-xnli", "H100")
    assert not said.unknown()
    hours = {
        name: said.hours(
            [one for one in said.stages if {cell.model for cell in one.planned.labels} == {name}]
        ).likely
        for name in ("mt5-base", "mt5-large")
    }
    assert 2 < hours["mt5-large"] / hours["mt5-base"] < 8
    assert 100 < said.to_run().likely < 10_000


def test_mt5_large_needs_more_of_a_gpu_with_adamw_than_with_adafactor(make):
    def memory(optimizer, gpus=1, on="A100", size="large"):
        said = make(
            on,
            models=[{"name": "mt5", "pretrained": f"google/mt5-{size}"}],
            intermediates=[],
            targets=[{"task": "xnli"}],
            training={"defaults": {"optimizer": optimizer, "learningRate": "1e-4"}},
            resources={"gpus": gpus},
        )
        return said.groups["train target"][0].memory

    adamw, adafactor = memory("AdamW"), memory("Adafactor")
    parameters = 1.2296e9
    assert adamw.states == pytest.approx(5 * 4 * parameters, rel=0.01)  # and the best epoch's copy
    assert adafactor.states == pytest.approx(3 * 4 * parameters, rel=0.01)
    assert memory("AdamW", gpus=2).needed.high < adamw.needed.high  # half of the activations, and buckets
    assert memory("Adafactor", size="base").fits is Fits.YES
    assert memory("AdamW", size="base").fits is Fits.YES
    assert memory("AdamW", on="T4").fits is Fits.NO  # 25 GB of weights, gradients and moments, of 16
    assert memory("Adafactor", on="H200").fits is Fits.YES
    assert memory("AdamW", on="CPU") is None


@pytest.mark.parametrize("on", ["A100", "L4"])
def test_a_batch_that_does_not_fit_whole_is_computed_in_parts_of_its_rows(make, on):
    """As many as the trainer will find by halving, the longest sequences tried; nothing else of the estimate changes."""
    said = make(
        on,
        models=[{"name": "mt5", "pretrained": "google/mt5-base"}],
        intermediates=[{"name": "squad", "tasks": ["squad"]}],
        targets=[{"task": "xquad"}],
        training={"defaults": {"optimizer": "Adafactor", "learningRate": "1e-4", "batchSize": 128}},
    )
    memory = said.groups["train intermediate"][0].memory
    assert memory.needed.high > memory.there
    assert memory.fits is Fits.PARTS
    assert memory.batch == 128
    assert memory.rows in {1, 2, 4, 8, 16, 32, 64}
    gradients = memory.states / 3  # the others are the weights, and the best epoch's
    for_row = (memory.needed.high - (memory.row.high - gradients)) / 127
    held = memory.row.high - for_row
    assert held + for_row * memory.rows <= 1.01 * memory.there
    assert held + for_row * 2 * memory.rows > 0.99 * memory.there


def test_a_row_that_does_not_fit_is_said_not_to_and_one_that_may_not_to_perhaps(make):
    def fits(on, length):
        said = make(
            on,
            models=[{"name": "large", "pretrained": "FacebookAI/xlm-roberta-large"}],
            intermediates=[{"name": "cosmos", "tasks": ["cosmos_qa"]}],
            targets=[{"task": "xnli"}],
            training={"defaults": {"maxLength": length}},
        )
        return said.groups["train intermediate"][0].memory.fits

    assert fits("L4", 512) is Fits.PARTS
    assert fits("T4", 512) is Fits.PERHAPS  # by a row of four choices, each of 512 pieces
    assert fits("T4", 64) is Fits.PARTS


def test_a_large_plan_is_estimated_at_once():
    from xstilts.spec import load_experiment

    experiment = load_experiment(EXAMPLES / "phang2020.yaml")
    began = time.process_time()
    planned = plan(experiment)
    estimate(planned, experiment.spec, ACCELERATORS["A100"])
    assert time.process_time() - began < 1
