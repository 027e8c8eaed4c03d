"""What decides a stage's key, and what does not."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xstilts.plan import plan
from xstilts.stage import EvaluateSpec, Kind, PrepareDataSpec, TrainSpec, stage_key

TUNED = {
    "learningRate": "3e-5",
    "epochs": 7,
    "batchSize": 8,
    "maxLength": 64,
    "maxExamples": 99,
    "warmupRatio": "0.2",
    "weightDecay": "0.3",
    "optimizer": "Adafactor",
}
names = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True).filter(lambda name: name != "none")


def keys(planned, *kinds):
    return {stage.key for stage in planned.stages if not kinds or stage.stage.kind in kinds}


def evaluated(planned, **wanted):
    """The keys of the cells' scores, of those cells that have the wanted names."""
    return {
        cell: key
        for cell, key in planned.evaluations.items()
        if all(getattr(cell, field) == value for field, value in wanted.items())
    }


@settings(max_examples=25)
@given(data=st.data())
def test_the_order_of_lists_decides_no_key(data, make, base):
    spec = base()
    for field in ("models", "tasks", "intermediates", "targets", "seeds"):
        spec[field] = data.draw(st.permutations(spec[field]))
    for holder in (*spec["intermediates"], *spec["tasks"]):
        for field in ("tasks", "languages"):
            if field in holder:
                holder[field] = data.draw(st.permutations(holder[field]))
    shuffled, plain = plan(make(**spec)), plan(make())
    assert dict(shuffled.evaluations) == dict(plain.evaluations)
    assert keys(shuffled) == keys(plain)


@settings(max_examples=25)
@given(data=st.data())
def test_names_decide_no_key(data, make, base, store_source):
    spec = base()
    fresh = data.draw(st.lists(names, min_size=20, max_size=20, unique=True))
    for holder in (*spec["models"], *spec["intermediates"]):
        holder["name"] = fresh.pop()
    for task in spec["tasks"]:
        task["data"] = store_source(fresh.pop(), task["name"])
    renamed = plan(make(name=fresh.pop(), namespace=fresh.pop(), **spec))
    assert keys(renamed) == keys(plan(make()))


def test_equal_content_is_one_stage(make, base):
    spec = base()
    spec["models"][1] = {**spec["models"][0], "name": "again"}
    spec["intermediates"].append({"name": "again", "tasks": ["squad"]})
    assert keys(plan(make(**spec))) == keys(plan(make(models=spec["models"][:1])))


@pytest.mark.parametrize(("field", "value"), TUNED.items())
@pytest.mark.parametrize(
    ("match", "touched"),
    [
        ({"phase": "intermediate", "task": "squad"}, {"intermediate": "squad"}),
        ({"phase": "target", "task": "xnli"}, {"target": "xnli"}),
        ({"phase": "target", "task": "mnli"}, {"target": "xnli"}),
        ({"phase": "target", "task": "xquad"}, {"target": "xquad"}),
        ({"model": "large", "phase": "target", "task": "xnli"}, {"model": "large", "target": "xnli"}),
    ],
)
def test_a_hyperparameter_changes_exactly_what_is_downstream(field, value, match, touched, make):
    before = evaluated(plan(make()))
    after = evaluated(plan(make(training={"overrides": [{"match": match, field: value}]})))
    changed = {cell for cell, key in before.items() if after[cell] != key}
    expected = set(evaluated(plan(make()), **touched))
    if match.get("task") == "xquad":  # XQuAD left the training that it shared: MLQA is now evaluated alone
        expected |= set(evaluated(plan(make()), target="mlqa"))
    assert changed == expected


def test_a_model_wide_override_leaves_the_other_model_and_what_is_not_trained(make):
    before = evaluated(plan(make()))
    after = evaluated(plan(make(training={"overrides": [{"match": {"model": "large"}, "epochs": 9}]})))
    changed = {cell for cell, key in before.items() if after[cell] != key}
    assert {cell.model for cell in changed} == {"large"}
    untrained = {cell for cell in before if (cell.intermediate, cell.target) == ("none", "tatoeba")}
    assert changed == {cell for cell in before if cell.model == "large"} - untrained


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("seeds", [3]),
        ("intermediates", [{"name": "mnli", "tasks": ["mnli"]}]),
        ("targets", [{"task": "udpos"}]),
        ("targets", [{"task": "mlqa"}]),
        ("targets", [{"task": "bucc2018"}]),
    ],
)
def test_a_grid_that_grows_keeps_its_stages(field, more, make, base):
    spec = base()
    spec["targets"] = [{"task": "xnli"}, {"task": "xquad"}, {"task": "tatoeba"}]
    small = plan(make(**spec))
    spec[field] = spec[field] + more
    grown = plan(make(**spec))
    assert keys(small, Kind.PREPARE, Kind.TRAIN) <= keys(grown)
    moved = {cell.target for cell, key in small.evaluations.items() if grown.evaluate_key(cell) != key}
    # What shares a checkpoint is scored in one stage, which is another when a target joins it.
    joined = (
        {"mlqa": {"xquad"}, "bucc2018": {"tatoeba"}}.get(more[0]["task"], set())
        if field == "targets"
        else set()
    )
    assert moved == joined


def test_a_growing_list_of_models_keeps_its_stages(make, base):
    models = base()["models"]
    one, both = plan(make(models=models[:1])), plan(make(models=models))
    assert keys(one, Kind.PREPARE, Kind.TRAIN, Kind.EVALUATE) < keys(both)


def test_the_seed_is_in_the_key_only_where_something_is_random(make):
    planned = plan(make())
    untrained = evaluated(planned, model="small", intermediate="none", target="tatoeba")
    assert len(untrained) == 2
    assert len(set(untrained.values())) == 1
    trained = evaluated(planned, model="small", intermediate="squad", target="tatoeba")
    assert len(set(trained.values())) == 2


@pytest.mark.parametrize("field", ["layer", "prefix"])
def test_retrieval_settings_touch_retrieval_alone(field, make, base):
    models = base()["models"]
    for model in models:
        model[field] = {"layer": 4, "prefix": "passage: "}[field]
    before, after = evaluated(plan(make())), evaluated(plan(make(models=models)))
    assert {cell.target for cell, key in before.items() if after[cell] != key} == {"tatoeba"}


@pytest.mark.parametrize(
    ("field", "value"), [("pooling", "First"), ("family", "XLMR"), ("pretrained", "other")]
)
def test_what_a_model_is_touches_all_its_stages(field, value, make, base, store_source):
    models = base()["models"]
    models[0]["layer"] = -1
    before = plan(make(models=models))
    models[0][field] = store_source(value) if field == "pretrained" else value
    after = plan(make(models=models))
    changed = {cell.model for cell, key in before.evaluations.items() if after.evaluate_key(cell) != key}
    kept = {cell.model for cell, key in before.evaluations.items() if after.evaluate_key(cell) == key}
    assert (changed, kept) == ({"small"}, {"large"})


@pytest.mark.parametrize("task", ["mnli", "squad", "xnli", "tatoeba"])
def test_other_data_touch_what_reads_them(task, make, base, store_source):
    spec = base()
    before = plan(make(**spec))
    for said in spec["tasks"]:
        if said["name"] == task:
            said["data"] = store_source(task, "other rows")
    after = plan(make(**spec))
    changed = {
        (cell.intermediate, cell.target)
        for cell, key in before.evaluations.items()
        if after.evaluate_key(cell) != key
    }
    grid = {(cell.intermediate, cell.target) for cell in before.cells()}
    reads = {
        "mnli": {cell for cell in grid if cell[0] == "mix" or cell[1] == "xnli"},
        "squad": {cell for cell in grid if cell[0] == "squad" or cell[1] in {"xquad", "mlqa"}},
        "xnli": {cell for cell in grid if cell[1] == "xnli"},
        "tatoeba": {cell for cell in grid if cell[1] == "tatoeba"},
    }
    assert changed == reads[task]


def test_every_spec_is_whole_and_gives_its_key_again(make, base):
    spec = base()
    spec["models"] += [{"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}]
    spec["targets"] += [{"task": "panx"}]  # from the hub
    forms = {Kind.TRAIN: TrainSpec, Kind.EVALUATE: EvaluateSpec}
    for stage in (planned.stage for planned in plan(make(**spec)).stages):
        assert stage.key == stage_key(stage.kind, stage.parents, stage.spec)
        form = PrepareDataSpec if stage.spec.get("what") == "data" else forms.get(stage.kind)
        if form is not None:
            again = form.model_validate(deepcopy(stage.spec))
            assert again.model_dump(mode="json", exclude_none=True) == stage.spec


def test_another_mark_stands_in_the_keys_of_what_is_not_pinned_and_in_no_other(make, base):
    spec = base()
    spec["models"] += [{"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}]
    spec["tasks"][0]["data"] = "store://mnli"
    experiment = make(**spec)
    own, first, second = (plan(experiment, mark) for mark in (None, "unpinned:1-2-3", "unpinned:4-5-6"))
    pinned = {one.key for one in own.stages if not one.unpinned}
    assert pinned
    assert keys(own) & keys(first) == keys(first) & keys(second) == pinned
    assert [one.unpinned for one in first.stages] == [one.unpinned for one in own.stages]
    assert keys(plan(experiment, "unpinned:grid")) != keys(own) == keys(plan(experiment))


def test_a_mark_that_would_not_be_known_as_one_is_refused(make):
    with pytest.raises(ValueError, match="must begin with 'unpinned:'"):
        plan(make(), "1-2-3")
