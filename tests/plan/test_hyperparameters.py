"""Where hyperparameters come from: recipe, defaults, overrides, sweep."""

from __future__ import annotations

import pytest

from xstilts.plan import Cell, plan, report_stage
from xstilts.stage import Kind


def rates(planned, phase, **wanted):
    """The learning rates of the trainings of a phase that cells with the wanted names need."""
    return sorted(
        one.stage.spec["hyperparameters"]["learningRate"]
        for one in planned.of_kind(Kind.TRAIN)
        if one.stage.spec["phase"] == phase
        and any(all(getattr(cell, field) == value for field, value in wanted.items()) for cell in one.labels)
    )


def one(planned, phase, **wanted):
    (rate,) = set(rates(planned, phase, **wanted))
    return rate


def test_the_recipe_holds_where_nothing_is_said(make):
    assert one(plan(make()), "target", target="xnli") == "5e-5"


@pytest.mark.parametrize("training", [{"learningRate": "2e-5"}, {"defaults": {"learningRate": "0.00002"}}])
def test_defaults_are_stronger_than_the_recipe(training, make):
    planned = plan(make(training=training))
    assert one(planned, "target") == one(planned, "intermediate") == "2e-5"


def test_overrides_are_stronger_than_defaults_and_the_later_wins(make):
    overrides = [
        {"match": {"phase": "target"}, "learningRate": "3e-5"},
        {"match": {"model": "large", "task": "xnli"}, "learningRate": "4e-5"},
        {"match": {"task": "squad"}, "learningRate": "6e-5"},
    ]
    planned = plan(make(training={"defaults": {"learningRate": "2e-5"}, "overrides": overrides}))
    assert one(planned, "target", model="small", target="xnli") == "3e-5"
    assert one(planned, "target", model="large", target="xnli") == "4e-5"
    assert one(planned, "target", target="xquad") == "6e-5"  # it trains on SQuAD
    assert one(planned, "intermediate", intermediate="squad") == "6e-5"
    assert one(planned, "intermediate", intermediate="mix") == "2e-5"  # no training of any of its tasks alone


SWEEP = {"sweep": {"learningRate": ["1e-4", "0.00001", "3e-5"]}}


def test_a_sweep_trains_once_a_rate_and_hands_all_on(make):
    planned = plan(make(training=SWEEP, seeds=[1]))
    assert rates(planned, "intermediate", model="small", intermediate="squad") == ["0.0001", "1e-5", "3e-5"]
    plain = plan(make(seeds=[1]))
    for group in ("train intermediate", "train target"):
        assert planned.counts[group] == 3 * plain.counts[group]
    assert planned.counts["evaluate"] == plain.counts["evaluate"]
    candidates = {"model.1e-5", "model.3e-5", "model.0.0001"}
    evaluation = planned.by_key[planned.evaluate_key(Cell("small", "squad", "xnli", 1))].stage
    assert {role for role in evaluation.parents if role.startswith("model")} == candidates
    training = planned.by_key[evaluation.parents["model.1e-5"]].stage
    assert {role for role in training.parents if role.startswith("model")} == candidates
    untrained = planned.by_key[planned.evaluate_key(Cell("small", "none", "tatoeba", 1))].stage
    assert set(untrained.spec["inputs"]) >= {"model"}


def test_the_report_of_a_sweep_has_a_key_of_its_own_and_no_other_key_changes(make):
    plain, swept = plan(make()), plan(make(training=SWEEP))
    (of_plain,), (of_swept,) = (one.of_kind(Kind.REPORT) for one in (plain, swept))
    assert "rates" not in of_plain.stage.spec
    assert of_swept.stage.spec["rates"] is True
    assert (plain.swept, swept.swept) == (False, True)
    parents = of_swept.stage.parents.values()
    assert of_swept.stage == report_stage(parents, swept=True)
    assert of_swept.key != report_stage(parents).key


def test_the_order_of_a_sweep_decides_no_key(make):
    reversed_rates = {"sweep": {"learningRate": ["3e-5", "1e-5", "1e-4"]}}
    first, second = plan(make(training=SWEEP)), plan(make(training=reversed_rates))
    assert dict(first.evaluations) == dict(second.evaluations)


def test_an_override_takes_its_stages_out_of_the_sweep(make):
    overrides = [{"match": {"phase": "intermediate"}, "learningRate": "2e-5"}]
    planned = plan(make(training={**SWEEP, "overrides": overrides}))
    assert set(rates(planned, "intermediate")) == {"2e-5"}
    assert len(set(rates(planned, "target"))) == 3


def of_target(*rates, **match):
    return {"match": {"phase": "target", **match}, "sweep": {"learningRate": list(rates)}}


def test_the_learning_rate_of_targets_alone_can_be_swept(make):
    """As Phang et al. do: one training an intermediate, and the target's rate chosen on English dev."""
    planned = plan(make(training={"overrides": [of_target("3e-5", "1e-5")]}, seeds=[1]))
    plain = plan(make(seeds=[1]))
    for count, times in (("train intermediate", 1), ("train target", 2), ("evaluate", 1)):
        assert planned.counts[count] == times * plain.counts[count]
    intermediates = {one.key for one in plain.stages if one.group == "train intermediate"}
    assert intermediates == {one.key for one in planned.stages if one.group == "train intermediate"}
    evaluation = planned.by_key[planned.evaluate_key(Cell("small", "squad", "xnli", 1))].stage
    assert {role for role in evaluation.parents if role.startswith("model")} == {"model.1e-5", "model.3e-5"}


def test_one_target_can_be_swept_and_the_others_keep_their_keys(make):
    planned = plan(make(training={"overrides": [of_target("3e-5", "1e-5", task="xnli")]}))
    plain = plan(make())
    assert len(set(rates(planned, "target", target="xnli"))) == 2
    for cell, key in plain.evaluations.items():
        assert (planned.evaluate_key(cell) == key) == (cell.target != "xnli")


def test_a_family_can_be_swept(make, store_source):
    models = [
        {"name": "e5", "pretrained": store_source("small"), "family": "E5"},
        {"name": "bert", "pretrained": store_source("large"), "family": "BERT"},
    ]
    planned = plan(make(models=models, training={"overrides": [of_target("3e-5", "1e-5", family="BERT")]}))
    assert set(rates(planned, "target", model="bert")) == {"3e-5", "1e-5"}
    assert set(rates(planned, "target", model="e5")) == {"5e-5"}


def test_a_swept_training_is_the_one_of_its_rate_alone(make):
    """Equal stages are one, whether a sweep asks for them or an experiment of that one rate."""
    swept = plan(make(training={"overrides": [of_target("3e-5", "1e-5")]}))
    single = plan(make(training={"overrides": [{"match": {"phase": "target"}, "learningRate": "3e-5"}]}))
    assert {one.key for one in single.of_kind(Kind.TRAIN)} < {one.key for one in swept.of_kind(Kind.TRAIN)}


@pytest.mark.parametrize(("order", "wanted"), [(1, {"2e-5"}), (-1, {"1e-5", "3e-5"})])
def test_of_a_rate_and_a_sweep_the_later_wins(order, wanted, make):
    overrides = [of_target("3e-5", "1e-5"), {"match": {"task": "xnli"}, "learningRate": "2e-5"}]
    planned = plan(make(training={"overrides": overrides[::order]}))
    assert set(rates(planned, "target", target="xnli")) == wanted


def test_an_override_s_sweep_takes_the_place_of_the_one_for_all(make):
    planned = plan(make(training={**SWEEP, "overrides": [of_target("2e-5", task="xnli")]}))
    assert set(rates(planned, "target", target="xnli")) == {"2e-5"}
    assert len(set(rates(planned, "target", target="xquad"))) == 3
