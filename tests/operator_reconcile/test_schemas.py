"""What decisions write passes the custom resources' own schemas: what an API server refuses would be tried for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from operator_reconcile.server import NAMESPACE
from operator_reconcile.test_garbage import NEARLY, STATUS
from operator_reconcile.world import End, World
from xstilts_operator.actions import ApplyStatus, Create, Resource
from xstilts_operator.routing import Key
from xstilts_operator.views import view_stage

CRDS = Path(__file__).parents[2] / "crds"


def closed(schema: Any) -> Any:
    """The same schema, refusing fields that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {name: closed(item) for name, item in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        shut["additionalProperties"] = False
    return shut


def schemas() -> dict[Resource, Any]:
    found = {}
    for file in CRDS.glob("*.yaml"):
        crd = yaml.safe_load(file.read_text())
        (version,) = crd["spec"]["versions"]
        found[Resource(crd["spec"]["names"]["kind"])] = version["schema"]["openAPIV3Schema"]["properties"]
    return found


SCHEMAS = schemas()
STATUSES = {kind: Draft202012Validator(closed(parts["status"])) for kind, parts in SCHEMAS.items()}
STAGE_SPEC = Draft202012Validator(closed(SCHEMAS[Resource.STAGE]["spec"]))


def problems(kind: Resource, status: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in STATUSES[kind].iter_errors(status)]


class Checked(World):
    """A world in which every write is held against its schema."""

    def do(self, action: Any) -> None:
        match action:
            case ApplyStatus(target, status, _):
                assert problems(target.resource, status) == []
            case Create(Resource.STAGE, body):
                assert list(STAGE_SPEC.iter_errors(body["spec"])) == []
        super().do(action)


@pytest.mark.parametrize(
    "end", [End(), End(1), End(64), End(42), End(143, disrupted=True), End(137, reason="OutOfn/g")]
)
def test_every_write_of_an_experiment_passes(end):
    world = Checked()
    world.submit(
        ttlSecondsAfterFinished=10**6, budget={"gpuHours": 5}, resources={"gpus": 1, "memory": "32Gi"}
    )
    world.play(lambda stage: end if "squad" in stage["spec"]["title"] else End())
    assert world.said()[0] in {"True", "False"}


@given(STATUS | NEARLY)
def test_a_status_full_of_garbage_is_written_again_without_it(status):
    stage = view_stage({"metadata": {"name": "one"}, "status": status})
    assert problems(Resource.STAGE, stage.status()) == []


WORLD = Checked()
WORLD.submit()
WORLD.settle()
STATUS_BEFORE = WORLD.status()


@settings(max_examples=40)
@given(STATUS | NEARLY)
def test_an_experiment_recovers_from_any_status(status):
    WORLD.scribble(Resource.EXPERIMENT, "grid", status)
    for action in WORLD.decide(Key(Resource.EXPERIMENT, NAMESPACE, "grid"), WORLD.now).actions:
        if isinstance(action, ApplyStatus):
            assert problems(action.target.resource, action.status) == []


def test_a_stage_says_its_scores_in_few_words():
    world = Checked()
    world.submit()
    world.play()
    told = {title: stage["status"].get("score") for title, stage in world.stages().items()}
    assert told["evaluate xnli after none on small, seed 1"] == "xnli 50.0"
    assert told["train squad on small, seed 1"] is None
