"""Whatever somebody has written into an object by hand: nothing raises, and what is well formed is read."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from operator_reconcile.server import NAMESPACE, START
from operator_reconcile.world import World
from xstilts_operator.actions import Resource
from xstilts_operator.plans import accept
from xstilts_operator.reconcile import planning
from xstilts_operator.routing import Key
from xstilts_operator.views import view_experiment, view_job, view_pod, view_stage, view_workload

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["True", "1", START.isoformat()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
STATUS_FIELDS = [
    "state", "reason", "message", "attempt", "failures", "resumes", "stalledResumes", "retryAfter", "cached",
    "scores", "outputsDigest", "completedAt", "usage", "lastFailure", "progress", "conditions", "plan", "lookup",
    "counts", "startTime", "completionTime", "activeSeconds", "activeSince", "observedGeneration", "report",
]  # fmt: skip
STATES = st.sampled_from(["Pending", "Active", "Waiting", "Succeeded", "Failed"])
ATTEMPTS = st.fixed_dictionaries(
    {"number": st.integers(1, 3), "placement": JSON, "gpus": JSON, "startedAt": JSON}
)
STATUS = JSON | st.dictionaries(st.sampled_from(STATUS_FIELDS), JSON, max_size=8)
NEARLY = st.builds(
    lambda status, state, attempt: {**status, "state": state, "attempt": attempt},
    st.dictionaries(st.sampled_from(STATUS_FIELDS), JSON, max_size=6),
    STATES,
    ATTEMPTS,
)


@given(JSON, STATUS | NEARLY)
def test_views_read_anything(metadata, status):
    obj = {"metadata": metadata, "spec": metadata, "status": status}
    view_job(obj)
    view_pod(obj)
    view_workload(obj)
    view_experiment(obj, None)
    view_stage(obj)


@given(STATUS | NEARLY)
def test_what_a_view_writes_it_reads(status):
    stage = view_stage({"metadata": {"name": "one"}, "status": status})
    bare = replace(stage, percent=None, remaining=None, told=0)
    again = view_stage({"metadata": {"name": "one"}, "status": bare.status()})
    assert again.status() == bare.status()
    assert replace(again, since=None) == replace(bare, since=None)


SUBMITTED = World()
SUBMITTED.submit()
SUBMITTED.settle()
STAGE = SUBMITTED.names(Resource.STAGE)[0]
BEFORE = {
    kind: SUBMITTED.get(kind, name) for kind, name in ((Resource.EXPERIMENT, "grid"), (Resource.STAGE, STAGE))
}


@settings(max_examples=60)
@given(st.sampled_from(list(BEFORE)), STATUS | NEARLY)
def test_decisions_survive_any_status(kind, status):
    name = BEFORE[kind]["metadata"]["name"]
    SUBMITTED.scribble(kind, name, status)
    for key in (Key(Resource.EXPERIMENT, NAMESPACE, "grid"), Key(Resource.STAGE, NAMESPACE, STAGE)):
        SUBMITTED.decide(key, SUBMITTED.now)
    SUBMITTED.scribble(kind, name, BEFORE[kind].get("status", {}))


def test_an_invalid_spec_is_told_by_its_field():
    world = World()
    world.submit(models=[{"name": "UPPER", "pretrained": "x"}], seeds="many")
    world.settle()
    status, reason, message = world.said()
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.models[0].name: must be" in message
    assert "spec.seeds: must be" in message


def test_a_grid_that_is_too_large_is_not_planned_again_until_it_is_another(monkeypatch):
    asked = []

    def counted(*arguments):
        asked.append(arguments)
        return accept(*arguments)

    monkeypatch.setattr(planning, "accept", counted)
    monkeypatch.setattr("xstilts_operator.plans.acceptance.STAGES_LIMIT", 10)
    world = World()
    world.submit(seeds=[1, 2, 3])
    for _ in range(3):
        world.settle()
        assert world.said()[:2] == ("False", "PlanTooLarge")
        world.edit(suspend=False)
    assert len(asked) <= 2
    world.edit(seeds=[1])
    world.settle()
    assert world.said()[1] == "LookingUp"
