"""The plan that the operator has accepted, out of its ConfigMap, and the results of its evaluations so far."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from xstilts.cluster.client import Object
from xstilts.errors import Problem, UnavailableError
from xstilts.plan import Cell, Naive, Plan, PlannedStage
from xstilts.results import Numbers
from xstilts.scoring import whole_scores
from xstilts.spec import Experiment
from xstilts.stage import EvaluateSpec, Kind, Stage

PLAN_FILE: Final = "plan.json.gz"
PLAN_SCHEMA: Final = "xstilts.dev/plan/v1"
_UNPACKED_LIMIT: Final = 64_000_000  # bytes


@dataclass(frozen=True)
class AcceptedPlan:
    """An experiment as it was accepted, and its plan (without the report's stage)."""

    experiment: Experiment
    plan: Plan


def read_plan(config_map: Object) -> AcceptedPlan:
    """The plan in a ConfigMap.

    Raises:
        UnavailableError: this version cannot read it.
    """
    try:
        packed = base64.b64decode(config_map["binaryData"][PLAN_FILE], validate=True)
        document = json.loads(zlib.decompressobj(wbits=31).decompress(packed, _UNPACKED_LIMIT))
        return _accepted(document)
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        ValidationError,
        binascii.Error,
        zlib.error,
    ) as error:
        name = config_map.get("metadata", {}).get("name", "")
        problem = f"must hold a plan that this version of xstilts can read, does not: {str(error)[:200]}"
        raise UnavailableError(Problem(f"ConfigMap {name}", problem)) from None


def _accepted(document: Mapping[str, Any]) -> AcceptedPlan:
    if document["schema"] != PLAN_SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}")
    experiment = Experiment.model_validate(document["experiment"])
    cells = [Cell(*cell) for cell in document["cells"]]
    stages = tuple(
        PlannedStage(
            stage=Stage.model_validate(one["stage"]),
            labels=frozenset(cells[index] for index in one["cells"]),
            unpinned=one["unpinned"],
        )
        for one in document["stages"]
    )
    keys = [stages[index].key for index in document["evaluations"]]
    plan = Plan(
        name=experiment.metadata.name,
        namespace=experiment.metadata.namespace or "default",
        stages=stages,
        evaluations=dict(zip(cells, keys, strict=True)),
        naive=Naive(**document["naive"]),
    )
    return AcceptedPlan(experiment, plan)


def numbers_of(plan: Plan, stages: Iterable[Object]) -> dict[str, Numbers]:
    """The scores that the TransferStages of evaluations hold, of languages with every number of the main score."""
    said = {
        one["spec"]["key"]: one["status"]["scores"]
        for one in stages
        if (one.get("status") or {}).get("state") == "Succeeded" and one["status"].get("scores")
    }
    return {
        planned.key: Numbers(
            scores=whole_scores(said[planned.key], EvaluateSpec.model_validate(planned.stage.spec).data)
        )
        for planned in plan.of_kind(Kind.EVALUATE)
        if planned.key in said
    }
