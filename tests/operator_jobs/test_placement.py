"""Where a stage may run: what its models ask for, and no more than the administrator allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_jobs.placements import PLACEMENTS, QUANTITIES
from xstilts.plan.placement import gpus, in_bytes, placement
from xstilts.spec import Resources
from xstilts.stage import Kind
from xstilts_operator.jobs import problems
from xstilts_operator.jobs.allowlist import allowed
from xstilts_operator.settings import PlacementSettings

NAMES = st.none() | st.just(()) | st.lists(st.sampled_from(["a", "b", "pool"]), max_size=2).map(tuple)
RULES = st.builds(
    PlacementSettings,
    node_selector_keys=NAMES,
    toleration_keys=NAMES,
    priority_class_names=NAMES,
    runtime_class_names=NAMES,
)
MODELS = [
    {"name": "small", "pretrained": "FacebookAI/xlm-roberta-base"},
    {
        "name": "large",
        "pretrained": "FacebookAI/xlm-roberta-large",
        "stageResources": {"gpus": 4, "memory": "64Gi", "nodes": 2},
    },
    {
        "name": "wide",
        "pretrained": "google-bert/bert-base-multilingual-cased",
        "stageResources": {"memory": "100G", "cpu": 8},
    },
]
RESOURCES = {"gpus": 1, "cpu": 4, "memory": "32Gi", "nodeSelector": {"pool": "gpu"}}


def placed(make, kind, *models):
    return placement(make(models=MODELS, resources=RESOURCES).spec, kind, models)


def test_a_model_may_need_more_than_the_others(make):
    small = placed(make, Kind.TRAIN, "small")
    assert (small.gpus, small.nodes, small.memory, gpus(small)) == (1, 1, "32Gi", 1)
    large = placed(make, Kind.TRAIN, "large")
    assert (large.gpus, large.nodes, large.memory, large.cpu, gpus(large)) == (4, 2, "64Gi", 4, 8)
    assert large.node_selector == {"pool": "gpu"}


def test_a_stage_of_several_models_gets_the_most_that_any_asks_for(make):
    both = placed(make, Kind.TRAIN, "wide", "large")
    assert (both.gpus, both.nodes, both.memory, both.cpu) == (4, 2, "100G", 8)


def test_a_preparation_needs_no_gpu_and_an_evaluation_is_one_process(make):
    prepare, evaluate = placed(make, Kind.PREPARE, "large"), placed(make, Kind.EVALUATE, "large")
    assert (prepare.gpus, prepare.nodes, gpus(prepare)) == (0, 1, 0)
    assert (evaluate.gpus, evaluate.nodes, evaluate.memory, gpus(evaluate)) == (1, 1, "64Gi", 1)
    without = placement(make().spec, Kind.EVALUATE, ["small"])
    assert without.gpus == 0


@given(resources=PLACEMENTS, rules=RULES)
def test_what_is_not_allowed_is_left_out_and_named(resources, rules):
    kept = allowed(resources, rules)
    assert not list(problems(kept, rules))
    assert (kept == resources) == (not list(problems(resources, rules)))
    assert allowed(kept, rules) == kept
    if rules.toleration_keys is not None:
        assert {one.key for one in kept.tolerations} <= set(rules.toleration_keys)
    if rules.node_selector_keys is not None:
        assert kept.node_selector.keys() <= set(rules.node_selector_keys)
    assert (kept.gpus, kept.cpu, kept.memory, kept.nodes) == (
        resources.gpus,
        resources.cpu,
        resources.memory,
        resources.nodes,
    )


def test_problems_name_the_field_and_what_is_allowed():
    resources = Resources.model_validate(
        {
            "nodeSelector": {"zone": "x"},
            "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "urgent",
            "runtimeClassName": "nvidia",
        }
    )
    rules = PlacementSettings(
        node_selector_keys=("pool",),
        toleration_keys=("gpu",),
        priority_class_names=(),
        runtime_class_names=(),
    )
    assert [str(problem) for problem in problems(resources, rules)] == [
        "spec.resources.nodeSelector: must be one that the administrator allows (pool), was 'zone'",
        "spec.resources.tolerations[0].key: must be one that the administrator allows (gpu), was 'every key'",
        "spec.resources.priorityClassName: must be one that the administrator allows (none), was 'urgent'",
        "spec.resources.runtimeClassName: must be one that the administrator allows (none), was 'nvidia'",
    ]


@pytest.mark.parametrize(
    ("quantity", "size"), [("1", 1), ("500M", 500_000_000), ("3k", 3000), ("2Ki", 2048), ("32Gi", 32 * 2**30)]
)
def test_quantities_are_kubernetes_own(quantity, size):
    assert in_bytes(quantity) == size


@given(quantity=QUANTITIES)
def test_every_quantity_of_a_spec_has_a_size(quantity):
    assert in_bytes(quantity) > 0
