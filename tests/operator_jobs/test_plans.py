"""What was accepted comes back from its ConfigMap, the same on any machine and in any version."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operator_jobs.conftest import store
from operator_jobs.kubernetes_schemas import assert_valid
from xstilts.canonical import canonical_json
from xstilts.plan import grid, plan
from xstilts.spec import load_experiment
from xstilts.stage import Kind, Stage
from xstilts_operator.names import stage_name
from xstilts_operator.plans import PLAN_FILE, PlanError, accept, config_map, thaw, unpack

EXAMPLES = Path(__file__).parents[2] / "examples"
UID = "5f1c2d3e-0000-4000-8000-000000000001"
HUB = {"name": "hub", "pretrained": "FacebookAI/xlm-roberta-base"}


def edited(document, change):
    """The same plan with something of its JSON changed."""
    content = json.loads(gzip.decompress(document.packed))
    change(content)
    return unpack(gzip.compress(canonical_json(content), mtime=0))


def test_a_plan_comes_back_whole(make, accepted):
    document = accepted()
    again = thaw(config_map(document, UID))
    assert again == document
    planned = plan(make(), f"unpinned:{UID}")
    stages = [one for one in planned.stages if one.stage.kind is not Kind.REPORT]
    assert list(again.stages) == [one.key for one in stages]
    assert again.texts() == {one.key: one.stage.to_json().decode() for one in stages}
    assert again.plan().stages == tuple(stages)
    assert again.plan().evaluations == planned.evaluations
    assert list(again.evaluations) == list(planned.cells())
    assert again.plan().naive == planned.naive
    for stage, one in zip(again.stages.values(), stages, strict=True):
        assert stage.name == stage_name(one.key, one.stage.kind, "default")
        assert stage.parents == one.stage.parents
        assert {again.cells[index] for index in stage.cells} == one.labels
        assert again.models(stage) == {cell.model for cell in one.labels}
        assert again.by_name[stage.name] is stage


def test_what_people_and_placements_need_of_a_stage_is_there(accepted):
    document = accepted()
    (target,) = (
        stage
        for stage in document.of_kind(Kind.TRAIN)
        if stage.title == "train xnli after squad on small, seed 2"
    )
    assert target.tasks == ("mnli",)
    assert {stage.tasks for stage in document.of_kind(Kind.EVALUATE)} == {("xnli",), ("xquad",)}
    assert (document.name, document.namespace, document.store) == ("grid", "team", "default")


def test_what_is_not_pinned_belongs_to_the_experiment_alone(make, accepted):
    models = [HUB]
    first, second = (accept(make(models=models), uid, "image") for uid in ("1-1", "2-2"))
    own = {stage.key for stage in first.stages.values() if stage.unpinned}
    assert own
    assert not own & second.stages.keys()
    assert first.stages.keys() - own == first.stages.keys() & second.stages.keys()
    assert "unpinned:1-1" in next(text for text in first.texts().values() if '"what":"model"' in text)
    assert not any(stage.unpinned for stage in accepted().stages.values())


def test_the_config_map_is_the_experiments_and_never_changes(accepted):
    document = accepted()
    body = config_map(document, UID)
    assert_valid(body)
    assert body["immutable"] is True
    (owner,) = body["metadata"]["ownerReferences"]
    assert owner["uid"] == UID
    assert owner["controller"] is True
    assert body == config_map(accepted(), UID)
    assert body["metadata"]["name"] != config_map(document, "another")["metadata"]["name"]
    assert body["metadata"]["name"] != config_map(accepted(seeds=[1, 2, 3]), UID)["metadata"]["name"]


@pytest.mark.parametrize("name", ["phang2020", "phang2020-variants", "mt5-size-xnli", "quickstart"])
def test_the_papers_grid_fits_easily(name, record_property):
    document = accept(load_experiment(EXAMPLES / f"{name}.yaml"), UID, "registry.example/trainer:1")
    size = len(document.packed)
    record_property("bytes", size)
    assert size < 100_000
    assert thaw(config_map(document, UID)) == document


EDITABLE = {
    "suspend": True,
    "parallelism": 3,
    "queueName": "gpus",
    "budget": {"gpuHours": 7},
    "resources": {"gpus": 4, "memory": "64Gi"},
    "activeDeadlineSeconds": 60,
    "ttlSecondsAfterFinished": 60,
    "retryFailedAt": "2026-01-31T08:00:00Z",
}


@pytest.mark.parametrize("field", EDITABLE)
def test_what_may_be_edited_makes_no_other_plan(field, make, accepted):
    before = accepted()
    changed = make(**{field: EDITABLE[field]})
    assert accept(changed, UID, "another image", before) is before
    assert accept(changed, UID, before.image).content == before.content


GROWN = {
    "seeds": [1, 2, 3],
    "targets": [{"task": "xnli"}, {"task": "xquad"}, {"task": "mlqa"}],
    "intermediates": [{"name": "squad", "tasks": ["squad"]}, {"name": "mnli", "tasks": ["mnli"]}],
    "models": [{"name": "small", "pretrained": "store://small", "family": "E5"}, HUB],
}


@pytest.mark.parametrize("field", ["seeds", "targets", "intermediates"])
def test_a_grid_that_grows_keeps_what_is_trained(field, make, accepted):
    before = accepted()
    grown = accept(make(**{field: GROWN[field]}), UID, before.image, before)
    assert grown is not before
    kept = {stage.key for stage in before.stages.values() if stage.kind is not Kind.EVALUATE}
    assert kept < grown.stages.keys()
    assert grown.cells != before.cells
    assert set(before.cells) < set(grown.cells)


def test_other_recipes_change_nothing_of_what_was_accepted(make, accepted, monkeypatch):
    before = accepted()
    monkeypatch.setattr(grid, "recipe_version", lambda _form, _tasks: 99)
    assert accept(make(suspend=True), UID, before.image, before) is before
    assert thaw(config_map(before, UID)) == before


def test_other_recipes_plan_no_further_cells_of_it(make, accepted, monkeypatch):
    before = accepted()
    monkeypatch.setattr(grid, "recipe_version", lambda _form, _tasks: 99)
    with pytest.raises(
        PlanError, match=rf"planned by version {before.version} .*make a new experiment"
    ) as caught:
        accept(make(seeds=[1, 2, 3]), UID, before.image, before)
    assert caught.value.reason == "PlanUnsupported"


def test_a_manifest_of_another_version_holds_as_long_as_it_is_not_edited(make, accepted):
    def add(content):
        content["experiment"]["spec"]["newer"] = 1

    before = edited(accepted(), add)
    with pytest.raises(ValueError, match="newer"):
        before.experiment()
    assert not before.covers(make())
    assert before.stages.keys() == accepted().stages.keys()


def test_too_many_stages_are_refused(make, monkeypatch):
    monkeypatch.setattr("xstilts_operator.plans.acceptance.STAGES_LIMIT", 7)
    with pytest.raises(PlanError, match="must have at most 7 stages, was") as caught:
        accept(make(), UID, "image")
    assert caught.value.reason == "PlanTooLarge"


def own_tasks(models=1, tasks=1, seeds=1, labels=("a", "b")):
    """What an experiment of own tasks says, each trained on every model for each seed."""
    names = [f"t{number}" for number in range(tasks)]
    return {
        "models": [
            {"name": f"m{number}", "pretrained": store(f"m{number}"), "family": "E5"}
            for number in range(models)
        ],
        "tasks": [
            {
                "name": name,
                "type": "Classification",
                "data": store(name),
                "labels": list(labels),
                "languages": ["en"],
            }
            for name in names
        ],
        "intermediates": [],
        "targets": [{"task": name} for name in names],
        "seeds": list(range(seeds)),
    }


@pytest.fixture
def made(monkeypatch):
    """The kinds of all stages that are made, equal ones each time."""
    kinds = []
    make_stage = Stage.of.__func__

    def counted(cls, kind, spec, parents=None):
        kinds.append(kind)
        return make_stage(cls, kind, spec, parents)

    monkeypatch.setattr(Stage, "of", classmethod(counted))
    return kinds


MANY_LABELS = [f"{number:0128}" for number in range(2048)]
EQUAL_MODELS = [{"name": f"m{number}", "pretrained": store("m"), "family": "E5"} for number in range(32)]
SENTENCES = [
    {"name": f"r{number}", "type": "Retrieval", "data": store("r"), "languages": ["de"]}
    for number in range(32)
]
CORPORA = [
    {
        "name": f"c{number}",
        "tasks": ["t0"],
        "continuedPretraining": {
            "objective": "MLM",
            "ratio": f"0.{number + 1}",
            "corpus": "wikipedia",
            "languages": [f"{one}{other}" for one in "abcdefghij" for other in "abcdefghij"],
        },
    }
    for number in range(38)
]


@pytest.mark.parametrize(
    ("spec", "words", "most"),
    [
        (own_tasks(32, 32, 64), r"at most 5,000 stages, was more", 5_001),
        (own_tasks(32, 1, 64, MANY_LABELS), r"'train t0 .* must be at most 100,000 bytes of JSON", 1),
        (own_tasks(32, 1, 64, MANY_LABELS[:300]), r"at most 16,000,000 bytes of JSON", 300),
        ({**own_tasks(32, 32, 64), "models": EQUAL_MODELS}, r"at most 10,000 stages, equal ones", 10_001),
        (
            {
                **own_tasks(seeds=64),
                "tasks": own_tasks()["tasks"] + SENTENCES,
                "targets": [{"task": one["name"]} for one in SENTENCES],
                "intermediates": CORPORA,
            },
            r"at most 500,000 cells in all stages",
            1_000,
        ),
    ],
    ids=["stages", "one stage", "bytes", "equal stages", "cells"],
)
def test_a_plan_that_is_too_large_is_given_up_while_it_grows(spec, words, most, make, made):
    with pytest.raises(PlanError, match=words) as caught:
        accept(make(**spec), UID, "image")
    assert caught.value.reason == "PlanTooLarge"
    assert len([kind for kind in made if kind is not Kind.PREPARE]) <= most


def test_a_stage_that_no_pod_can_carry_is_refused(make):
    languages = [f"aaa-aaaaaaaa-aaaaaaaa-{number:08}" for number in range(128)]
    tasks = [
        {"name": f"t{number}", "type": "Retrieval", "data": "store://" + "n" * 100, "languages": languages}
        for number in range(32)
    ]
    with pytest.raises(PlanError, match=r"'evaluate t0\+.* must be at most 100,000 bytes") as caught:
        accept(
            make(tasks=tasks, targets=[{"task": one["name"]} for one in tasks], intermediates=[]), UID, "i"
        )
    assert caught.value.reason == "PlanTooLarge"


@given(
    junk=st.binary(max_size=64)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["schema", "experiment", "metadata", "spec", "stages", "cells", "stage", "binaryData"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_junk_is_never_more_than_an_unsupported_plan(junk):
    if isinstance(junk, dict):
        junk = {"schema": "xstilts.dev/plan/v1", **junk}
    packed = junk if isinstance(junk, bytes) else gzip.compress(json.dumps(junk).encode())
    metadata = {"name": "a", "namespace": "team", "ownerReferences": [{"uid": UID}]}
    body = {"metadata": metadata, "binaryData": {PLAN_FILE: base64.b64encode(packed).decode()}}
    for obj in (body, junk, {"metadata": metadata, "binaryData": junk}):
        with pytest.raises(PlanError) as caught:
            thaw(obj)
        assert caught.value.reason == "PlanUnsupported"


def test_a_plan_under_another_name_or_owner_is_refused(accepted):
    body = config_map(accepted(), UID)
    other = edited(accepted(), lambda content: content.update(image="evil"))
    forged = {**body, "binaryData": {PLAN_FILE: base64.b64encode(other.packed).decode()}}
    moved = {**body, "metadata": {**body["metadata"], "namespace": "elsewhere"}}
    owner = body["metadata"]["ownerReferences"][0]
    stolen = {**body, "metadata": {**body["metadata"], "ownerReferences": [{**owner, "uid": "another"}]}}
    for obj in (forged, moved, stolen):
        with pytest.raises(PlanError, match="another plan than its name says"):
            thaw(obj)


def test_nothing_is_read_of_what_is_not_the_plan_that_its_name_says(accepted):
    """63 MB of JSON, packed in 61 kB, take 1.5 GB when they are read; put into the place of a plan, they are not."""
    body = config_map(accepted(), UID)
    many = b'{"schema":"xstilts.dev/plan/v1","stages":[' + b"[]," * 2_000_000 + b"[]]}"
    forged = {**body, "binaryData": {PLAN_FILE: base64.b64encode(gzip.compress(many)).decode()}}
    tracemalloc.start()
    try:
        with pytest.raises(PlanError, match="another plan than its name says"):
            thaw(forged)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * len(many)


def test_a_bomb_is_not_unpacked(accepted, monkeypatch):
    body = config_map(accepted(), UID)
    monkeypatch.setattr("xstilts_operator.plans.document.UNPACKED_LIMIT", 1000)
    with pytest.raises(PlanError, match="too large"):
        thaw(body)


def test_every_stage_is_one_that_the_trainer_reads(accepted):
    for key, text in accepted(models=[HUB]).texts().items():
        stage = Stage.model_validate_json(text)
        assert stage.key == key
        assert stage.to_json().decode() == text
