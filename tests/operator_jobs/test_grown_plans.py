"""The lookup of a plan that has grown: the store is asked for what is new in it, and for nothing else."""

from __future__ import annotations

import pytest

from xstilts.stage import Kind, Stage
from xstilts.store import Store
from xstilts_operator.actions import Reference, Resource
from xstilts_operator.answers import LookupAnswer, read_answer
from xstilts_operator.companion import Task
from xstilts_operator.jobs import Asked, indexes, lookup_job
from xstilts_operator.lookup import look

OWNER = Reference(Resource.EXPERIMENT, "team", "grid", "grid-uid")


@pytest.fixture
def plans(accepted):
    """A plan, and the same with more seeds."""
    return accepted(seeds=[1]), accepted(seeds=list(range(1, 30)))


def test_only_what_is_new_is_asked_for(plans, settings):
    before, grown = plans
    assert set(grown.questions(before)) == grown.stages.keys() - before.stages.keys()
    assert set(grown.questions()) == grown.stages.keys()
    store = settings.stores["default"]
    job = lookup_job(OWNER, "plan-2", grown, store, settings, before=Asked("plan-1", before))
    assert job["spec"]["completions"] == indexes(grown, before) <= indexes(grown)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][3:] == ["/etc/xstilts/plan/plan.json.gz", "/etc/xstilts/asked/plan.json.gz"]
    volumes = {one["name"]: one.get("configMap", {}).get("name") for one in pod["volumes"]}
    assert (volumes["plan"], volumes["asked"]) == ("plan-2", "plan-1")
    assert "/etc/xstilts/asked" in {one["mountPath"] for one in container["volumeMounts"]}
    alone = lookup_job(OWNER, "plan-2", grown, store, settings)
    assert "asked" not in {one["name"] for one in alone["spec"]["template"]["spec"]["volumes"]}


def test_the_program_leaves_out_what_it_was_asked_before_and_tells_what_a_training_cost(plans, tmp_path):
    before, grown = plans
    store = Store.open(str(tmp_path / "store"), "team")
    trainings = [one.key for one in grown.of_kind(Kind.TRAIN)]
    old = next(key for key in trainings if key in before.stages)
    new = [key for key in trainings if key not in before.stages][:4]
    environments = [
        {"seconds": 90.4, "hardware": {"gpus": 2}},
        {"seconds": 90.4, "hardware": {}},
        {"seconds": "90", "hardware": {"gpus": 1}},
        {"seconds": 1e9, "hardware": {"gpus": 8}},
    ]
    for key, environment in zip((old, *new), (environments[0], *environments), strict=True):
        with store.write(Stage.model_validate_json(grown.texts()[key]), environment) as draft:
            (draft.path / "weights").write_text(key)
    asked = tmp_path / "asked"
    asked.write_bytes(before.packed)
    one = {"XSTILTS_INDEX": "0", "XSTILTS_INDEXES": "1"}
    answer = read_answer(
        LookupAnswer, look(Task("plan-2", grown, store, [str(asked)], one)).decode(), "plan-2"
    )
    found = answer.by_key(grown.stages)
    assert found.keys() == set(new)
    assert [found[key].gpu_seconds for key in new] == [181, None, None, 999_999_999]
