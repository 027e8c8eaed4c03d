"""What an edit may change of an experiment that has begun, as people are told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crds.edits import defaults, growth
from crds.manifests import FULL, SMALL, put
from crds.verdicts import read
from xstilts.spec.edits import FROZEN, GROWING, edit_problems


def problems(old, new):
    before, after = read(old), read(new)
    assert before is not None
    assert after is not None
    return [str(problem) for problem in edit_problems(before.spec, after.spec)]


GROWN = [
    "nothing", "a model", "an intermediate", "a target", "a seed", "a task", "a commit", "stageResources",
    "no stageResources", "new stageResources", "languages in another order", "a decimal spelt otherwise",
    "baseline left out", "models in another order", "tasks in another order", "intermediates in another order",
    "targets in another order", "seeds in another order", "splits.train left out", "rates in another order",
    "layers in another order",
]  # fmt: skip


@pytest.mark.parametrize("case", list(growth()), ids=lambda case: case.name)
def test_what_may_be_done_to_a_large_one(case):
    assert (problems(FULL, case.spec) == []) is (case.name in GROWN)


@pytest.mark.parametrize("case", list(defaults()), ids=lambda case: case.name)
def test_what_may_be_done_to_a_small_one(case):
    allowed = {"defaults", "defaults below", "a task that is not"}
    allowed |= {"analysis"}  # the two measures are a set
    assert (problems(SMALL, case.spec) == []) is (case.name in allowed)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("parallelism",), 1), (("budget", "gpuHours"), 1), (("suspend",), True), (("queueName",), "other"),
        (("resources", "gpus"), 4), (("resources", "nodeSelector"), {}), (("activeDeadlineSeconds",), 1),
        (("ttlSecondsAfterFinished",), 5), (("retryFailedAt",), "2027-01-31T08:00:00Z"),
    ],
)  # fmt: skip
def test_what_does_not_decide_results_may_change(path, value):
    assert problems(FULL, put(FULL, path, value)) == []


INSTEAD = "; make another experiment, which finds what is done in the store"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("seeds",), [2], "spec.seeds: must keep 1, with which the experiment began, was without"),
        (("targets",), [{"task": "xnli"}, *FULL["targets"][2:]], "spec.targets: must keep 'months', with which the experiment began, was without"),
        (("models", 1, "revision"), "f" * 40, "spec.models[1].revision: must stay '{commit}' once the experiment has begun, was 'ffffffffffffffffffffffffffffffffffffffff'"),
        (("models", 0, "pooling"), "First", "spec.models[0].pooling: must stay 'Mean' once the experiment has begun, was 'First'"),
        (("tasks", 1, "languages"), ["en"], "spec.tasks[1].languages: must stay [en, de] once the experiment has begun, was [en]"),
        (("tasks", 2, "labels"), ["autumn", "spring"], "spec.tasks[2].labels: must stay [spring, autumn] once the experiment has begun, was [autumn, spring]"),
        (("dataRevisions",), {}, "spec.dataRevisions[\"nyu-mll/glue\"]: must stay '{commit}' once the experiment has begun, was absent"),
        (("training", "defaults", "epochs"), 3, "spec.training.defaults.epochs: must stay the number 2 once the experiment has begun, was the number 3"),
        (("store", "keep"), "All", "spec.store.keep: must stay 'Intermediate' once the experiment has begun, was 'All'"),
        (("baseline",), False, "spec.baseline: must stay the boolean true once the experiment has begun, was the boolean false"),
    ],
)  # fmt: skip
def test_what_people_are_told(path, value, said):
    commit = "0123456789" * 4
    assert problems(FULL, put(FULL, path, value)) == [said.replace("{commit}", commit) + INSTEAD]


def test_a_task_that_was_used_as_the_catalogue_has_it_is_not_described_later():
    later = {**SMALL, "tasks": [{"name": "xnli", "data": "store://xnli"}]}
    [said] = problems(SMALL, later)
    assert said.startswith(
        "spec.tasks[0]: must not be added: the experiment began with 'xnli' as the catalogue"
    )


def test_all_problems_are_told_together_in_the_order_of_the_fields():
    said = problems(
        FULL, {**FULL, "seeds": [1], "store": {"name": "other"}, "models": FULL["models"][:1], "training": {}}
    )
    fields = [one.split(":")[0] for one in said]
    assert fields == [
        "spec.models", "spec.seeds", "spec.training.defaults", "spec.training.overrides", "spec.store.name", "spec.store.keep",
    ]  # fmt: skip


parts = st.fixed_dictionaries(
    {
        "seeds": st.lists(st.integers(0, 5), min_size=1, unique=True),
        "targets": st.lists(st.sampled_from(["xnli", "pawsx", "xquad"]), min_size=1, unique=True).map(
            lambda names: [{"task": name} for name in names]
        ),
        "intermediates": st.lists(st.sampled_from(["mnli", "qqp", "squad"]), unique=True).map(
            lambda names: [{"name": name, "tasks": [name]} for name in names]
        ),
    },
    optional={"suspend": st.booleans(), "baseline": st.just(True)},
)


@settings(max_examples=200)
@given(parts, parts)
def test_an_edit_is_allowed_exactly_where_nothing_is_lost(old, new):
    before, after = {**SMALL, **old}, {**SMALL, **new}
    kept = all(
        all(entry in after[field] for entry in before[field])
        for field in ("seeds", "targets", "intermediates")
    )
    assert (problems(before, after) == []) is kept
    assert problems(before, before) == []


def test_every_field_is_frozen_growing_or_free():
    free = {
        "resources", "queueName", "parallelism", "budget", "suspend", "retryFailedAt", "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    }  # fmt: skip
    assert {*FROZEN, *GROWING, "dataRevisions", "seeds", *free} == FULL.keys()
